"""The whole system at a glance: rates, percentiles, lag, hosts, agents, queues."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec
from django.utils import timezone

from coordination import client as core
from coordination.domain import AgentView, HostView, QueueView
from coordination.errors import ServerUnavailable
from dashboard.models import HostEvent, Sample
from dashboard.queries.escalations import open_escalations
from dashboard.queries.workflows import state_counts
from dashboard.relay_status import RelayLag, read_lag


@dataclass(frozen=True, slots=True)
class Overview:
    """What the overview page shows."""

    counts: dict[str, tuple[int, bool]]  # state -> (count, there are more)
    samples: list[Sample]  # oldest first
    per_minute: float  # workflows finished in the last minute
    p50_ms: float | None
    p95_ms: float | None
    open_escalations: int
    oldest_escalation_at: dt.datetime | None
    hosts: list[HostView] = field(default_factory=list)
    agents: list[AgentView] = field(default_factory=list)
    queues: list[QueueView] = field(default_factory=list)
    relay: RelayLag = field(default_factory=RelayLag)
    server: dict[str, object] = field(default_factory=dict)
    connected: bool = True  # Redis answers


class Live(msgspec.Struct):
    """What only Redis knows."""

    hosts: list[HostView] = []
    agents: list[AgentView] = []
    queues: list[QueueView] = []
    server: dict[str, object] = {}
    connected: bool = True


def live() -> Live:
    """Hosts, agents and queues, or an empty picture marked as not connected when Redis does not answer."""
    try:
        inspect = core.sync().inspect
        return Live(inspect.hosts(), inspect.agents(), inspect.queues(), inspect.server())
    except ServerUnavailable:
        return Live(connected=False)


def without_agents(task_types: Collection[str]) -> set[str]:
    """Those of the task types that no live agent takes now; none when Redis does not answer."""
    if not any(task_types):
        return set()
    try:
        agents = core.sync().inspect.agents()
    except ServerUnavailable:
        return set()
    served = {name for agent in agents if agent.alive and not agent.draining for name in agent.types}
    return {name for name in task_types if name and name not in served}


def samples(minutes: int = 30) -> list[Sample]:
    """The measures of the last minutes, oldest first."""
    return list(Sample.objects.filter(at__gte=timezone.now() - dt.timedelta(minutes=minutes)).order_by("at"))


def overview(minutes: int = 30) -> Overview:
    """Everything that the overview shows; never fails because Redis is away."""
    measured = samples(minutes)
    minute_ago = timezone.now() - dt.timedelta(seconds=60)
    recent = [sample for sample in measured if sample.at >= minute_ago]
    latest = next((sample for sample in reversed(recent) if sample.p50_ms is not None), None)
    opened, oldest = open_escalations()
    now = live()
    return Overview(
        counts=state_counts(),
        samples=measured,
        per_minute=float(sum(sample.finished for sample in recent)),
        p50_ms=latest.p50_ms if latest else None,
        p95_ms=latest.p95_ms if latest else None,
        open_escalations=opened,
        oldest_escalation_at=oldest,
        hosts=now.hosts,
        agents=now.agents,
        queues=now.queues,
        relay=relay_lag(),
        server=now.server,
        connected=now.connected,
    )


def relay_lag() -> RelayLag:
    """How far the history is behind Redis, as the relays last wrote it down."""
    try:
        return read_lag()
    except ServerUnavailable:
        return RelayLag()


def host_events(limit: int = 100, host: str = "") -> list[HostEvent]:
    """What happened to coordinator hosts, newest first."""
    rows = HostEvent.objects.filter(host=host) if host else HostEvent.objects.all()
    return list(rows.order_by("-at", "-id")[:limit])
