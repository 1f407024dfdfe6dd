"""The audit log in pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet

from dashboard.models import AuditEntry
from dashboard.queries.workflows import without_nul


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What the audit page shows."""

    actor: str = ""
    action: str = ""  # or its beginning, as "escalation."
    object_type: str = ""
    object_id: str = ""

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> AuditFilter:
        """Read a filter from a query string (``actor action object id``)."""
        params = without_nul(params)
        names = {"actor": "actor", "action": "action", "object_type": "object", "object_id": "id"}
        return cls(**{name: params.get(key, "").strip()[:150] for name, key in names.items()})

    def query(self, **more: Any) -> str:
        """The filter as a query string."""
        pairs = {"actor": self.actor, "action": self.action, "object": self.object_type, "id": self.object_id, **more}
        return urlencode({name: value for name, value in pairs.items() if value})


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page of the log, newest first."""

    rows: list[AuditEntry] = field(default_factory=list)
    next: str = ""  # cursor of the older page; empty: there is none


def audit_rows(wanted: AuditFilter) -> QuerySet[AuditEntry]:
    """Every entry that a filter lets through, oldest first."""
    rows = AuditEntry.objects.order_by("pk")
    if wanted.actor:
        rows = rows.filter(actor=wanted.actor)
    if wanted.action.endswith("."):
        rows = rows.filter(action__startswith=wanted.action)
    elif wanted.action:
        rows = rows.filter(action=wanted.action)
    if wanted.object_type:
        rows = rows.filter(object_type=wanted.object_type)
    if wanted.object_id:
        rows = rows.filter(object_id=wanted.object_id)
    return rows


def audit(wanted: AuditFilter, *, cursor: str = "", limit: int = 50) -> AuditPage:
    """One page of the audit log, newest first."""
    rows = audit_rows(wanted)
    if cursor.isdecimal():
        rows = rows.filter(pk__lt=int(cursor))
    taken = list(rows.order_by("-pk")[: limit + 1])
    more, taken = len(taken) > limit, taken[:limit]
    return AuditPage(taken, str(taken[-1].pk) if more else "")
