"""Tokens for the API: shown once, kept as a digest, bounded by scope, expiry and their owner's role."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path
from typing import Any

from django.db import OperationalError, connection, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from coordination.config import current
from coordination.errors import BadRequest
from dashboard import audit
from dashboard.models import ApiToken
from dashboard.roles import allowed

logger = logging.getLogger(__name__)

_VERBS = {
    "read": frozenset({"view"}),
    "operate": frozenset({"view", "operate"}),
    "approve": frozenset({"view", "operate", "approve"}),
    "admin": frozenset({"view", "operate", "approve", "administer"}),
}
_NEEDS = {"read": "view", "operate": "operate", "approve": "approve", "admin": "administer"}
_NOTE_USE_S = 60  # a token's last use is written down this often at most


def _digest(raw: str) -> str:
    return hashlib.sha256(raw.encode()).hexdigest()


def create(
    user: Any,
    name: str,
    scope: str = "read",
    *,
    expires_in_days: int | None = None,
    actor: Any = None,
    request: HttpRequest | None = None,
) -> tuple[ApiToken, str]:
    """Make a token and return it with its text, which nobody can read again.

    Raises:
        BadRequest: The name is empty, the scope is unknown, or it goes beyond the owner's role.
    """
    name = name.strip()
    if not name:
        raise BadRequest(_("Give the token a name that says what uses it."))
    if scope not in ApiToken.SCOPES:
        raise BadRequest(
            _("%(scope)s is no scope. Use one of: %(names)s.")
            % {"scope": repr(scope), "names": ", ".join(ApiToken.SCOPES)}
        )
    if not allowed(user, _NEEDS[scope]):
        raise BadRequest(
            _("The scope %(scope)s goes beyond the role of %(who)s.") % {"scope": scope, "who": user.get_username()}
        )
    prefix = secrets.token_hex(4)
    raw = f"gang_{prefix}_{secrets.token_urlsafe(32)}"
    expires_at = timezone.now() + dt.timedelta(days=expires_in_days) if expires_in_days else None
    with transaction.atomic():
        token = ApiToken.objects.create(
            name=name[:80], user=user, prefix=prefix, digest=_digest(raw), scope=scope, expires_at=expires_at
        )
        after = {"name": token.name, "scope": scope, "user": user.get_username(), "expires_at": expires_at}
        audit.record(actor or user, "api_token.create", token, after=after, request=request)
    return token, raw


def authenticate(raw: str) -> ApiToken | None:
    """The valid token with this text, its use noted; nothing when unknown, expired, revoked or its owner is gone."""
    parts = raw.split("_", 2)
    if len(parts) != 3 or parts[0] != "gang":
        return None
    token = ApiToken.objects.select_related("user").filter(prefix=parts[1]).first()
    if token is None or not hmac.compare_digest(token.digest, _digest(raw)):
        return None
    now = timezone.now()
    if token.revoked_at or (token.expires_at and token.expires_at <= now) or not token.user.is_active:
        return None
    if token.last_used_at is None or (now - token.last_used_at).total_seconds() > _NOTE_USE_S:
        _note_use(token, now)
    return token


def _note_use(token: ApiToken, now: dt.datetime) -> None:
    """Write down that a token was used; a call that only reads does not wait for a database that is locked."""
    lite = connection.vendor == "sqlite"
    try:
        with connection.cursor() as cursor:
            if lite:
                cursor.execute("PRAGMA busy_timeout = 100")
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    except OperationalError as error:
        logger.debug("the use of token %s is not noted: %s", token.prefix, error)
    finally:
        if lite:
            with connection.cursor() as cursor:
                usual_s = connection.settings_dict["OPTIONS"].get("timeout", 5)
                cursor.execute(f"PRAGMA busy_timeout = {int(usual_s * 1000)}")


def permits(token: ApiToken, verb: str) -> bool:
    """Whether both the token's scope and its owner's role allow a verb of ``roles.PERMISSIONS``."""
    return verb in _VERBS.get(token.scope, frozenset()) and allowed(token.user, verb)


def revoke(token: ApiToken, actor: Any, request: HttpRequest | None = None) -> bool:
    """End a token for good; says whether it was still valid until now."""
    with transaction.atomic():
        changed = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
        if changed:
            audit.record(actor, "api_token.revoke", token, before={"name": token.name}, request=request)
    return bool(changed)


def cli_token_path() -> Path:
    """The file that the command line reads its token from."""
    return current().home / "cli-token"


def ensure_cli_token(user: Any) -> Path:
    """Make sure that the command line on this machine has a valid token, readable by its owner only."""
    path = cli_token_path()
    token = authenticate(path.read_text().strip()) if path.exists() else None
    if token is None or token.user_id != user.pk:
        _, raw = create(user, "command line on this machine", "admin")
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".cli-token-{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(raw)
        draft.replace(path)
    return path
