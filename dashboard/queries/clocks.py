"""By when somebody has to look at what waits, and by when it has to be resolved: the clock of each cause."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count
from django.utils import timezone

from dashboard.notices.models import Incident


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of one cause's incident, as a policy has set it."""

    incident_id: UUID
    priority: str
    looks: str  # who has said that they look at it, or has claimed one of its escalations; "" for nobody
    due_at: dt.datetime | None  # of looking while nobody does, then of resolving; None without a policy
    late: bool
    resolve_by: dt.datetime | None
    told: int  # levels that were told
    levels: int  # of the policy
    next_at: dt.datetime | None  # when the next level is told


def clocks(fingerprints: Iterable[str]) -> dict[str, Clock]:
    """The clocks of these causes, by fingerprint; one that no job has looked at yet is left out. One query."""
    now = timezone.now()
    rows = Incident.objects.filter(closed_at=None, fingerprint__in=set(fingerprints))
    return {
        row.fingerprint: _clock(row, row.of_policy, now) for row in rows.annotate(of_policy=Count("policy__levels"))
    }


def _clock(row: Incident, levels: int, now: dt.datetime) -> Clock:
    looks = row.acknowledged_by if row.acknowledged_at else ""
    due = row.resolve_by if looks else row.acknowledge_by
    missed = [at for at in (due, row.resolve_by) if at is not None and at < now]
    return Clock(
        row.pk, row.priority, looks, due, bool(missed), row.resolve_by, row.told, levels,
        row.next_at if row.told < levels else None,
    )  # fmt: skip
