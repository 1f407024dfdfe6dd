"""Who is needed: causes that wait for people with their incidents, and requests for approval."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db.models import Q
from django.utils import timezone

from dashboard import approvals
from dashboard.notices.models import Incident
from dashboard.queries.escalations import EscalationFilter, EscalationGroup, escalation_groups


class Need(NamedTuple):
    """One cause, and whether somebody looks at it."""

    group: EscalationGroup
    taken_by: str = ""
    late_since: dt.datetime | None = None  # nobody has looked by then, or it was not solved by then


@dataclass(frozen=True, slots=True)
class Needs:
    """What waits for people, oldest first."""

    causes: list[Need] = field(default_factory=list)
    more: bool = False  # there are further causes
    approvals: int = 0
    oldest_approval_at: dt.datetime | None = None
    late: int = 0  # incidents past their time

    @property
    def any(self) -> bool:
        """Whether anybody is needed."""
        return bool(self.causes or self.approvals)


def needs(limit: int) -> Needs:
    """The causes that wait longest, and how much else needs people."""
    now = timezone.now()
    groups = escalation_groups(EscalationFilter(), limit=limit + 1, oldest_first=True)
    open_ones = Incident.objects.filter(closed_at=None)
    known = {one.fingerprint: one for one in open_ones.filter(fingerprint__in=[one.fingerprint for one in groups])}
    waiting = approvals.waiting().order_by("created_at").values_list("created_at", flat=True)
    late = Q(acknowledged_at=None, acknowledge_by__lt=now) | Q(resolve_by__lt=now)
    return Needs(
        causes=[_need(group, known.get(group.fingerprint), now) for group in groups[:limit]],
        more=len(groups) > limit,
        approvals=len(waiting),
        oldest_approval_at=waiting[0] if waiting else None,
        late=open_ones.filter(late).count(),
    )


def _need(group: EscalationGroup, incident: Incident | None, now: dt.datetime) -> Need:
    if incident is None:
        return Need(group)
    missed = [] if incident.acknowledged_at else [incident.acknowledge_by]
    missed.append(incident.resolve_by)
    return Need(
        group,
        incident.acknowledged_by if incident.acknowledged_at else "",
        min((at for at in missed if at is not None and at < now), default=None),
    )
