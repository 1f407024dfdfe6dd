"""Takeovers as people ask for them: who was lost, who noticed, which workflows went on where, and after how long.

One lost host leaves several events: that of the peer that noticed, and one of each peer that took workflows over.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from dashboard.models import HostEvent, Workflow

_TOGETHER = dt.timedelta(minutes=2)  # peers that had no room take the rest later


@dataclass(frozen=True, slots=True)
class Taken:
    """One workflow of a takeover."""

    workflow_id: str
    epoch: int  # 0: it was not taken up, because it had ended
    checkpoint_ms: int  # from its last checkpoint to the takeover; -1: it had none and began at its input
    by: str
    state: str = ""  # now; empty when the history does not know it
    type: str = ""


@dataclass(slots=True)
class Takeover:
    """All that became of the workflows of one lost host."""

    pk: str
    host: str
    at: dt.datetime  # when a peer noticed
    noticed_by: str
    silent_ms: int
    workflows: int = 0
    until_ms: int = 0  # from then to the last one taken up
    by: dict[str, int] = field(default_factory=dict)  # host -> workflows
    taken: list[Taken] = field(default_factory=list)

    @property
    def total_ms(self) -> int:
        """From the host's last sign to the last of its workflows taken up."""
        return self.silent_ms + self.until_ms


def host_log(limit: int = 100) -> list[Takeover | HostEvent]:
    """Takeovers with what became of their workflows, and hosts that started and stopped; newest first."""
    found = _gathered(limit)
    _look_up([takeover for takeover in found if isinstance(takeover, Takeover)])
    return found


def lost_hosts(since: dt.datetime, limit: int = 5) -> list[Takeover]:
    """The hosts that were lost since then, each once, newest first."""
    return [one for one in _gathered(100) if isinstance(one, Takeover) and one.at >= since][:limit]


def _gathered(limit: int) -> list[Takeover | HostEvent]:
    found: list[Takeover | HostEvent] = []
    open_takeovers: dict[str, Takeover] = {}
    for event in reversed(HostEvent.objects.order_by("-at", "-id")[:limit]):
        if event.kind != "lost":
            found.append(event)
            continue
        known = open_takeovers.get(event.host)
        if known is None or event.at - known.at > _TOGETHER:
            known = Takeover(event.pk, event.host, event.at, event.by, event.silent_ms)
            open_takeovers[event.host] = known
            found.append(known)
        _add(known, event)
    return found[::-1]


def _add(takeover: Takeover, event: HostEvent) -> None:
    if event.silent_ms and not takeover.silent_ms:  # the peer that noticed told it after one that took over
        takeover.noticed_by, takeover.silent_ms = event.by, event.silent_ms
    if event.workflows:
        takeover.workflows += event.workflows
        takeover.by[event.by] = takeover.by.get(event.by, 0) + event.workflows
        since_ms = int((event.at - takeover.at).total_seconds() * 1000)
        takeover.until_ms = max(takeover.until_ms, since_ms, event.took_ms if takeover.pk == event.pk else 0)
    takeover.taken += [Taken(workflow, epoch, age_ms, event.by) for workflow, epoch, age_ms in event.taken]


def _look_up(takeovers: list[Takeover]) -> None:
    wanted = [one.workflow_id for takeover in takeovers for one in takeover.taken]
    rows = {pk: (state, kind) for pk, state, kind in
            Workflow.objects.filter(pk__in=wanted).values_list("pk", "state", "type")}  # fmt: skip
    for takeover in takeovers:
        takeover.taken = [
            Taken(one.workflow_id, one.epoch, one.checkpoint_ms, one.by, *rows.get(one.workflow_id, ("", "")))
            for one in takeover.taken
        ]
