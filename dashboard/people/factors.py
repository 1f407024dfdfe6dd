"""Second factors: codes of an app, recovery codes, passkeys. Kept by allauth, encrypted with the installation's key.

Whoever has one needs it after the password, and after a one-time link, too. A passkey that knows its
person (by finger, face or PIN) is both factors at once.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.webauthn.internal import auth as webauthn
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from coordination.errors import BadRequest
from dashboard import audit

_TOTP, _KEY, _RECOVERY = (
    Authenticator.Type.TOTP,
    Authenticator.Type.WEBAUTHN,
    Authenticator.Type.RECOVERY_CODES,
)


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]
    """How allauth keeps secrets, and what it calls this installation."""

    def encrypt(self, text: str) -> str:
        """Hide a secret under the installation's key."""
        return _fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """The secret again; one that another key has hidden fits no code."""
        try:
            return _fernet().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            return base64.b32encode(hashlib.sha256(encrypted_text.encode()).digest()[:20]).decode()

    def _get_site_name(self) -> str:
        return "Ganglion"


def _fernet() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"factors:{settings.SECRET_KEY}".encode()).digest()))


class WrongFactor(BadRequest):
    """This is not the right code or passkey. Try again, or use another way."""

    code = "wrong_factor"


# --- what somebody has ------------------------------------------------------------------


def needed(user: Any) -> bool:
    """Whether this person signs in with a second factor."""
    return bool(Authenticator.objects.filter(user_id=user.pk, type__in=[_TOTP, _KEY]).exists())


def whose() -> set[int]:
    """The people who have a second factor."""
    return set(Authenticator.objects.filter(type__in=[_TOTP, _KEY]).values_list("user_id", flat=True))


def of(user: Any) -> dict[str, Any]:
    """What the profile shows: whether there is an app, the passkeys, and how many recovery codes are left."""
    rows = list(Authenticator.objects.filter(user_id=user.pk).order_by("created_at"))
    recovery = next((row for row in rows if row.type == _RECOVERY), None)
    return {
        "app": next((row for row in rows if row.type == _TOTP), None),
        "passkeys": [row for row in rows if row.type == _KEY],
        "recovery_left": len(RecoveryCodes(recovery).get_unused_codes()) if recovery else 0,
    }


# --- an app that shows codes --------------------------------------------------------------


def begin_app(request: HttpRequest) -> tuple[str, str]:
    """A secret for an app, kept in the session until it is proven, and its picture as a data address."""
    with context.request_context(request):
        secret = totp.get_totp_secret(regenerate=True)
        adapter = get_adapter()
        picture = adapter.build_totp_svg(adapter.build_totp_url(request.user, secret))
    return secret, "data:image/svg+xml;base64," + base64.b64encode(picture.encode()).decode()


def prove_app(request: HttpRequest, code: str) -> list[str]:
    """Turn the app on once it has shown a right code; returns recovery codes where there were none.

    Raises:
        WrongFactor: The code does not fit.
    """
    with context.request_context(request):
        secret = request.session.get(totp.SECRET_SESSION_KEY)
        if not secret or not totp.validate_totp_code(secret, code.replace(" ", "")):
            raise WrongFactor(_("This code does not fit. Wait for the next one, and check the clock of your device."))
        with transaction.atomic():
            Authenticator.objects.filter(user=_user(request), type=_TOTP).delete()
            totp.TOTP.activate(_user(request), secret)
            audit.record(request.user, "user.factor_add", _target(request), after={"kind": "app"}, request=request)
            codes = _recovery(request)
        totp.clear_totp_secret(request)
    return codes


# --- passkeys -----------------------------------------------------------------------------------


def passkeys_work(request: HttpRequest) -> bool:
    """Whether browsers allow passkeys here: under a name (localhost is one), not under a number."""
    host = request.get_host().rpartition(":")[0] or request.get_host()
    return not host.replace(".", "").isdecimal() and not host.startswith("[")


def begin_passkey(request: HttpRequest) -> dict[str, Any]:
    """What the browser needs to make a passkey."""
    with context.request_context(request):
        return _plain(webauthn.begin_registration(_user(request), True))


def prove_passkey(request: HttpRequest, name: str, credential: str) -> list[str]:
    """Keep a passkey that the browser has made; returns recovery codes where there were none.

    Raises:
        WrongFactor: It was not made for this, or does not read.
    """
    with context.request_context(request):
        try:
            given = json.loads(credential)
            webauthn.parse_registration_response(given)
            webauthn.complete_registration(given)
        except (ValueError, TypeError, KeyError, ValidationError):
            raise WrongFactor(_("The browser made no passkey that can be used. Try again.")) from None
        with transaction.atomic():
            made = webauthn.WebAuthn.add(_user(request), name.strip()[:60] or _("Passkey"), given)
            audit.record(
                request.user, "user.factor_add", _target(request), after={"kind": "passkey", "name": made.name},
                request=request,
            )  # fmt: skip
            return _recovery(request)


def remove(request: HttpRequest, factor_id: int) -> None:
    """Take a factor away; with the last one the recovery codes go, too."""
    with transaction.atomic():
        row = Authenticator.objects.filter(pk=factor_id, user=_user(request), type__in=[_TOTP, _KEY]).first()
        if row is None:
            return
        kind = {"kind": str(row.type)}
        audit.record(request.user, "user.factor_remove", _target(request), before=kind, request=request)
        row.delete()
        if not needed(request.user):
            Authenticator.objects.filter(user=_user(request)).delete()


def remove_all(person: User, actor: Any, request: HttpRequest | None = None) -> None:
    """An administrator lets somebody in again who has lost every factor."""
    with transaction.atomic():
        Authenticator.objects.filter(user=person).delete()
        audit.record(actor, "user.factors_reset", ("user", str(person.pk)), request=request)


def _recovery(request: HttpRequest) -> list[str]:
    if Authenticator.objects.filter(user=_user(request), type=_RECOVERY).exists():
        return []
    codes: list[str] = RecoveryCodes.activate(_user(request)).generate_codes()
    return codes


def new_recovery(request: HttpRequest) -> list[str]:
    """Ten new recovery codes; the old ones no longer work."""
    with transaction.atomic():
        Authenticator.objects.filter(user=_user(request), type=_RECOVERY).delete()
        audit.record(request.user, "user.recovery_codes", _target(request), request=request)
        return _recovery(request)


# --- at the door ------------------------------------------------------------------------------------


def challenge(request: HttpRequest, user: User | None = None) -> dict[str, Any]:
    """What the browser needs to show a passkey: of one person, or of whoever comes."""
    with context.request_context(request):
        return _plain(webauthn.begin_authentication(user))


def check_code(request: HttpRequest, user: User, code: str) -> bool:
    """Whether a code of the app, or an unused recovery code, fits; each works once.

    Raises:
        WrongFactor: Redis, which remembers the codes that were used, does not answer.
    """
    plain = code.replace(" ", "").replace("-", "")
    with context.request_context(request):
        for row in Authenticator.objects.filter(user=user, type__in=[_RECOVERY, _TOTP]).order_by("type"):
            try:
                fits = bool(plain) and row.wrap().validate_code(plain)
            except RedisError:
                raise WrongFactor(_("Redis does not answer. Use a passkey or a recovery code.")) from None
            if fits:
                row.record_usage()
                return True
    return False


def check_passkey(request: HttpRequest, credential: str, user: User | None = None) -> User | None:
    """The person to whom a shown passkey belongs, if it is a right one."""
    with context.request_context(request):
        try:
            given = json.loads(credential)
            webauthn.parse_authentication_response(given)
            person = user or webauthn.extract_user_from_response(given)
            row = webauthn.complete_authentication(person, given)
        except (ValueError, TypeError, KeyError, AttributeError, ValidationError):
            return None
        if not isinstance(person, User) or not person.is_active:
            return None
        row.record_usage()
        return person


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(options, default=dict))
    return plain


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _target(request: HttpRequest) -> tuple[str, str]:
    return "user", str(request.user.pk)
