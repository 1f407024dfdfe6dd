"""The audit log: append-only, each row's hash covering the row before.

Rows cannot be changed or deleted: not through the ORM (``AppendOnlyQuerySet``), not by SQL (triggers).
Whoever goes round both breaks the chain, and ``verify`` tells where.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import connection, models, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard import live
from dashboard.models import AuditEntry
from dashboard.redaction import redact

GENESIS = "0" * 64
_LOCK = 0x67616E67  # PostgreSQL's advisory lock for writers of the chain


def record(
    actor: Any,
    action: str,
    target: models.Model | tuple[str, str],
    *,
    before: Any = None,
    after: Any = None,
    request: HttpRequest | None = None,
) -> AuditEntry:
    """Append one entry, redacted, within the caller's transaction if there is one.

    Args:
        actor: A user, or a name as "schedule:nightly".
        action: "escalation.resolve", "agent.drain" ...
        target: What it was done to: a row, or (type, id).
        before: What was there, as JSON.
        after: What is there now, as JSON.
        request: For the address that it came from.
    """
    object_type, object_id = target if isinstance(target, tuple) else (target._meta.model_name or "", str(target.pk))
    with transaction.atomic():
        reserve()
        last = AuditEntry.objects.order_by("-pk").values_list("hash", flat=True).first()
        entry = AuditEntry(
            at=timezone.now(),
            actor=_name(actor)[:150],
            action=action[:60],
            object_type=object_type[:40],
            object_id=object_id[:140],
            before=_plain(before),
            after=_plain(after),
            address=address_of(request),
            previous_hash=last or GENESIS,
        )
        entry.hash = _digest(entry)
        entry.save(force_insert=True)
        live.publish_on_commit("audit")
    return entry


def address_of(request: HttpRequest | None) -> str:
    """The address that a request came from, as the server in front of Django tells it."""
    return str(request.META.get("REMOTE_ADDR", ""))[:45] if request is not None else ""


def reserve() -> None:
    """Make sure, within a transaction, that an entry can be written before anything is done that needs one.

    Raises:
        OperationalError: The database is locked or away.
    """
    # SQLite's transactions take the write lock when they begin; so they need nothing here.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _name(actor: Any) -> str:
    return actor if isinstance(actor, str) else str(actor.get_username())


def _plain(value: Any) -> Any:
    """JSON that reads back from both databases as it was written."""
    return _stable(msgspec.to_builtins(redact(value), str_keys=True, enc_hook=str)) if value is not None else None


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key).replace("\x00", ""): _stable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_stable(item) for item in value]
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, float) and ("e" in repr(value) or "n" in repr(value)):
        return repr(value)  # PostgreSQL would write these numbers differently
    return value


def _digest(entry: AuditEntry) -> str:
    covered = [
        entry.previous_hash,
        entry.at.astimezone(dt.UTC).isoformat(),
        entry.actor,
        entry.action,
        entry.object_type,
        entry.object_id,
        entry.before,
        entry.after,
        entry.address,
    ]
    return hashlib.sha256(json.dumps(covered, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What ``verify`` found."""

    entries: int
    broken_at: int | None = None  # the first row that does not fit
    why: str = ""

    @property
    def intact(self) -> bool:
        """Whether every row is as it was written, and none is missing in between."""
        return self.broken_at is None


def verify() -> Verdict:
    """Check every row of the log against its hash and against the row before."""
    expected, count = GENESIS, 0
    for entry in AuditEntry.objects.order_by("pk").iterator(chunk_size=2_000):
        count += 1
        if entry.previous_hash != expected:
            return Verdict(count, entry.pk, _("a row before it is missing or was changed"))
        if entry.hash != _digest(entry):
            return Verdict(count, entry.pk, _("it was changed after it was written"))
        expected = entry.hash
    return Verdict(count)
