"""Escalations as operators see them: the queue, its groups by cause, and one in full."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.db.models import CharField, Count, Max, Min, Q, QuerySet
from django.db.models.functions import Cast, Substr
from django.utils import timezone
from django.utils.translation import gettext as _

from coordination.domain import EscalationSnapshot, EscalationState, Reason
from dashboard.models import Decision, Escalation
from dashboard.queries.workflows import without_nul
from dashboard.redaction import redact_json
from dashboard.rows import frame
from dashboard.wording import number

COUNT_CAP = 10_000
PAGE_ROWS = 50
COLUMNS = ("workflow", "reason", "clock")  # those that can be hidden
TREND_HOURS = 12


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
    hide: tuple[str, ...] = ()  # columns that are not shown

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> EscalationFilter:
        """Read a filter from a query string; misfits are left out.

        Args:
            params: ``state``, ``reason``, ``type``, ``task``, ``cause``, ``claim``, ``q``, ``sort``,
                ``hide`` (columns).
        """
        getlist = getattr(params, "getlist", None)
        hidden = ",".join(getlist("hide")) if getlist else params.get("hide", "")
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
            hide=tuple(column for column in COLUMNS if column in hidden.split(",")),
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
            "hide": ",".join(now.hide),
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
    first_id: str  # the oldest of them
    pending: int = 0  # decided, and not verified yet
    trend: tuple[int, ...] = ()  # opened in each of the last ``TREND_HOURS`` hours, oldest first
    error_kind: str = ""
    frame: str = ""
    agent_version: str = ""

    @property
    def trend_words(self) -> str:
        """How many are new, in words; by hours of the clock, the present one included."""
        recent, before = sum(self.trend[-2:]), sum(self.trend[-4:-2])
        if not any(self.trend):
            return _("none in the last %(hours)s h") % {"hours": TREND_HOURS}
        return _("%(recent)s in the last 2 h, %(before)s in the 2 h before") % {
            "recent": number(recent),
            "before": number(before),
        }


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
    wanted: EscalationFilter,
    *,
    page: int = 1,
    limit: int = PAGE_ROWS,
    user_id: int | None = None,
    pending: bool = False,
) -> EscalationPage:
    """One page of the queue, oldest first unless the filter says otherwise.

    Args:
        wanted: Filter and order.
        page: From 1.
        limit: Rows of a page.
        user_id: For filters by claim.
        pending: Among the open ones show those too that were decided and are not verified yet.
    """
    if pending and wanted.state == "open":
        rows = narrow(replace(wanted, state="all"), user_id).filter(Q(state="open") | Q(outcome="dispatched"))
    else:
        rows = narrow(wanted, user_id)
    order = ("-opened_at", "-id") if wanted.newest_first or wanted.state == "resolved" else ("opened_at", "id")
    total = rows.order_by().values("pk")[: COUNT_CAP + 1].count()
    page = min(max(1, page), max(1, -(-min(total, COUNT_CAP) // limit)))  # the last, when the queue has become shorter
    first = (page - 1) * limit
    taken = list(rows.select_related("claimed_by").order_by(*order)[first : first + limit + 1])
    return EscalationPage(taken[:limit], page, len(taken) > limit, min(total, COUNT_CAP), total > COUNT_CAP)


def escalation_groups(
    wanted: EscalationFilter,
    *,
    limit: int = 50,
    user_id: int | None = None,
    trend: bool = False,
    oldest_first: bool = False,
) -> list[EscalationGroup]:
    """The causes behind the escalations that match, the largest first.

    Args:
        wanted: The filter; with ``state=open`` those that were decided and are not verified yet count as ``pending``.
        limit: Causes at most.
        user_id: For filters by claim.
        trend: Whether to count the last hours too.
        oldest_first: Order by who waits longest, and leave out causes of which nothing waits any more.
    """
    counts = _counts(narrow(wanted, user_id))
    under_way: dict[str, dict[str, Any]] = {}
    if wanted.state == "open":
        under_way = _counts(narrow(replace(wanted, state="all"), user_id).filter(outcome="dispatched"))
    for fingerprint, row in under_way.items():
        known = counts.setdefault(fingerprint, {**row, "count": 0})
        known["pending"] = row["count"]
    if oldest_first:
        chosen = sorted((row for row in counts.values() if row["count"]), key=lambda row: row["oldest_at"])[:limit]
    else:
        chosen = sorted(counts.values(), key=lambda row: (-row["count"], row["oldest_at"]))[:limit]
    found = {row["fingerprint"]: row for row in chosen}
    oldest = Escalation.objects.filter(fingerprint__in=found, opened_at__in=[row["oldest_at"] for row in chosen])
    firsts: dict[str, Escalation] = {}
    for first in oldest.order_by("opened_at", "id"):
        firsts.setdefault(first.fingerprint, first)
    hours = _trends(found) if trend else {}
    return [
        _group(row, firsts[fingerprint], hours.get(fingerprint, ()))
        for fingerprint, row in found.items()
        if fingerprint in firsts
    ]


def _counts(rows: QuerySet[Escalation]) -> dict[str, dict[str, Any]]:
    """How many of each cause; from an index alone where the filter allows it."""
    counted = rows.values("fingerprint").annotate(
        count=Count("opened_at"), oldest_at=Min("opened_at"), newest_at=Max("opened_at")
    )
    return {row["fingerprint"]: dict(row) for row in counted.order_by()}


def _group(row: Mapping[str, Any], first: Escalation, trend: tuple[int, ...]) -> EscalationGroup:
    error = (first.detail.get("errors") or [{}])[-1]
    return EscalationGroup(
        fingerprint=row["fingerprint"],
        headline=first.headline,
        reason=first.reason,
        workflow_type=first.workflow_type,
        task_type=first.task_type,
        count=row["count"],
        oldest_at=row["oldest_at"],
        newest_at=row["newest_at"],
        first_id=first.pk,
        pending=row.get("pending", 0),
        trend=trend,
        error_kind=error.get("kind", ""),
        frame=frame(error.get("traceback", "")),
        agent_version=error.get("agent_version", ""),
    )


def _trends(fingerprints: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """How many escalations of each cause were opened in each of the last hours of the clock, decided ones too."""
    now = timezone.now().astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
    hours = [now - dt.timedelta(hours=back) for back in reversed(range(TREND_HOURS))]
    places = {hour.strftime("%Y-%m-%d %H"): place for place, hour in enumerate(hours)}
    # Both databases write a moment as text in the same way, and cutting text is faster than calling back per row.
    hour_of = Substr(Cast("opened_at", CharField()), 1, 13)
    recent = Escalation.objects.filter(fingerprint__in=list(fingerprints), opened_at__gte=hours[0])
    found: dict[str, list[int]] = {}
    for fingerprint, hour, many in (
        recent.values_list("fingerprint", hour_of).annotate(many=Count("opened_at")).order_by()
    ):
        if hour in places:
            found.setdefault(fingerprint, [0] * TREND_HOURS)[places[hour]] = many
    return {fingerprint: tuple(counts) for fingerprint, counts in found.items()}


def escalation(escalation_id: str) -> EscalationDetail | None:
    """One escalation in full, or nothing when no relay has mirrored it (yet)."""
    if "\x00" in escalation_id:
        return None
    row = Escalation.objects.select_related("claimed_by").filter(pk=escalation_id).first()
    if row is None:
        return None
    others = Escalation.objects.filter(state="open", fingerprint=row.fingerprint).exclude(pk=row.pk)
    # what has been accepted is over, and stays open here until the history has caught up
    decided = Decision.objects.filter(state__in=("submitted", "pending", "accepted"), escalation__state="open")
    queue = Escalation.objects.filter(state="open").exclude(pk=row.pk).order_by("opened_at", "id")
    queue = queue.exclude(pk__in=decided.values("escalation_id"))
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
