"""Escalations as operators see them: the queue, its groups by cause, and one in full."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.db.models import Count, Max, Min, Q, QuerySet
from django.utils import timezone

from coordination.domain import EscalationSnapshot, EscalationState, Reason
from dashboard.models import Decision, Escalation
from dashboard.queries.workflows import without_nul
from dashboard.redaction import redact_json

COUNT_CAP = 10_000
PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class EscalationFilter:
    """What the queue shows."""

    state: str = "open"  # open | resolved | withdrawn | all
    reason: str = ""
    workflow_type: str = ""
    task_type: str = ""
    fingerprint: str = ""
    claim: str = ""  # mine | free
    text: str = ""
    newest_first: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> EscalationFilter:
        """Read a filter from a query string (``state reason type task cause claim q sort``); misfits are left out."""
        params = without_nul(params)
        state = params.get("state", "") or "open"
        return cls(
            state=state if state in {*EscalationState, "all"} else "open",
            reason=params["reason"] if params.get("reason", "") in set(Reason) else "",
            workflow_type=params.get("type", ""),
            task_type=params.get("task", ""),
            fingerprint=params.get("cause", ""),
            claim=params["claim"] if params.get("claim", "") in ("mine", "free") else "",
            text=params.get("q", "").strip()[:200],
            newest_first=params.get("sort", "") == "newest",
        )

    def params(self, **changes: Any) -> dict[str, str]:
        """The query parameters that ``from_params`` reads this filter from."""
        now = replace(self, **changes)
        pairs = {
            "state": "" if now.state == "open" else now.state,
            "reason": now.reason,
            "type": now.workflow_type,
            "task": now.task_type,
            "cause": now.fingerprint,
            "claim": now.claim,
            "q": now.text,
            "sort": "newest" if now.newest_first else "",
        }
        return {name: value for name, value in pairs.items() if value}

    def query(self, **changes: Any) -> str:
        """``params`` as a query string, to stand behind a ``?``."""
        return urlencode(self.params(**changes))


@dataclass(frozen=True, slots=True)
class EscalationPage:
    """One page of escalations."""

    rows: list[Escalation] = field(default_factory=list)
    page: int = 1
    has_next: bool = False
    total: int = 0  # at most COUNT_CAP
    capped: bool = False


@dataclass(frozen=True, slots=True)
class EscalationGroup:
    """Escalations with one cause."""

    fingerprint: str
    headline: str
    reason: str
    workflow_type: str
    task_type: str
    count: int
    oldest_at: dt.datetime
    newest_at: dt.datetime
    first_id: str  # one of them


@dataclass(frozen=True, slots=True)
class EscalationDetail:
    """One escalation in full."""

    row: Escalation
    snapshot: EscalationSnapshot  # redacted, as the relay last saw it
    decisions: list[Decision]  # newest first
    same_cause: int  # others open with the same fingerprint, at most COUNT_CAP
    next_id: str = ""  # the next one of the queue after this

    @property
    def claimed_until(self) -> dt.datetime | None:
        """When the claim ends, or nothing when nobody holds one."""
        until = self.row.claimed_until
        return until if until and self.row.claimed_by_id and until > timezone.now() else None


def narrow(wanted: EscalationFilter, user_id: int | None) -> QuerySet[Escalation]:
    """The escalations that a filter matches."""
    rows = Escalation.objects.all()
    if wanted.state != "all":
        rows = rows.filter(state=wanted.state)
    exact = {
        "reason": wanted.reason,
        "workflow_type": wanted.workflow_type,
        "task_type": wanted.task_type,
        "fingerprint": wanted.fingerprint,
    }
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    held = Q(claimed_by__isnull=False, claimed_until__gt=timezone.now())
    if wanted.claim == "mine":
        rows = rows.filter(held, claimed_by_id=user_id)
    elif wanted.claim == "free":
        rows = rows.exclude(held)
    if wanted.text:
        rows = rows.filter(Q(headline__icontains=wanted.text) | Q(workflow_id__startswith=wanted.text))
    return rows


def escalations(
    wanted: EscalationFilter, *, page: int = 1, limit: int = PAGE_ROWS, user_id: int | None = None
) -> EscalationPage:
    """One page of the queue, oldest first unless the filter says otherwise."""
    rows = narrow(wanted, user_id)
    order = ("-opened_at", "-id") if wanted.newest_first or wanted.state == "resolved" else ("opened_at", "id")
    page = min(max(1, page), COUNT_CAP // limit)
    first = (page - 1) * limit
    taken = list(rows.select_related("claimed_by").order_by(*order)[first : first + limit + 1])
    total = rows.order_by().values("pk")[: COUNT_CAP + 1].count()
    return EscalationPage(taken[:limit], page, len(taken) > limit, min(total, COUNT_CAP), total > COUNT_CAP)


def escalation_groups(
    wanted: EscalationFilter, *, limit: int = 50, user_id: int | None = None
) -> list[EscalationGroup]:
    """The causes behind the escalations that match, the largest first."""
    rows = (
        narrow(wanted, user_id)
        .values("fingerprint")
        .annotate(
            count=Count("id"),
            oldest_at=Min("opened_at"),
            newest_at=Max("opened_at"),
            first_id=Min("id"),
        )
        .order_by("-count", "oldest_at")[:limit]
    )
    found = list(rows)
    firsts = Escalation.objects.in_bulk([row["first_id"] for row in found])
    return [
        EscalationGroup(
            fingerprint=row["fingerprint"],
            headline=firsts[row["first_id"]].headline,
            reason=firsts[row["first_id"]].reason,
            workflow_type=firsts[row["first_id"]].workflow_type,
            task_type=firsts[row["first_id"]].task_type,
            count=row["count"],
            oldest_at=row["oldest_at"],
            newest_at=row["newest_at"],
            first_id=row["first_id"],
        )
        for row in found
        if row["first_id"] in firsts
    ]


def escalation(escalation_id: str) -> EscalationDetail | None:
    """One escalation in full, or nothing when no relay has mirrored it (yet)."""
    if "\x00" in escalation_id:
        return None
    row = Escalation.objects.select_related("claimed_by").filter(pk=escalation_id).first()
    if row is None:
        return None
    others = Escalation.objects.filter(state="open", fingerprint=row.fingerprint).exclude(pk=row.pk)
    queue = Escalation.objects.filter(state="open").exclude(pk=row.pk).order_by("opened_at", "id")
    later = queue.filter(opened_at__gte=row.opened_at).values_list("pk", flat=True).first()
    decisions = list(row.decisions.order_by("-created_at")[:50])
    for decision in decisions:  # the outbox holds a payload as it was, until Redis has answered
        decision.payload = redact_json(decision.payload.encode()).decode() if decision.payload else ""
    return EscalationDetail(
        row=row,
        snapshot=msgspec.convert(row.detail, EscalationSnapshot),
        decisions=decisions,
        same_cause=others.order_by().values("pk")[:COUNT_CAP].count(),
        next_id=later or queue.values_list("pk", flat=True).first() or "",
    )


def open_escalations() -> tuple[int, dt.datetime | None]:
    """How many are open (at most ``COUNT_CAP``), and since when the oldest waits."""
    rows = Escalation.objects.filter(state="open")
    oldest = rows.order_by("opened_at").values_list("opened_at", flat=True).first()
    return rows.order_by().values("pk")[:COUNT_CAP].count(), oldest


def workflow_escalations(workflow_id: str) -> list[Escalation]:
    """Every escalation of a workflow, oldest first."""
    return list(Escalation.objects.filter(workflow_id=workflow_id).order_by("opened_at", "id"))
    under_way = Decision.objects.filter(state__in=("submitted", "pending"), escalation__state="open")
    queue = queue.exclude(pk__in=under_way.values("escalation_id"))
