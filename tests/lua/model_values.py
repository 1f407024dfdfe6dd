"""What a shard holds, in plain Python: streams, workflows, tasks, escalations, and what scripts do to them together."""

from __future__ import annotations

import dataclasses
from typing import Any

from coordination import journal as j
from coordination.scripts import GONE, STALE

FINAL = ("completed", "failed", "cancelled")


@dataclasses.dataclass
class Entry:
    """One entry of a stream; its id is learned from the server once it is there."""

    mark: str  # w or r
    workflow: str
    id: str = ""
    consumer: str = ""  # "" while nobody has read it


@dataclasses.dataclass
class Task:
    """A task's record."""

    number: int
    state: str
    claims: int = 0
    agent: str = ""
    expired: bool = False  # whether its time limit has passed

    def outline(self) -> str:
        return f"{self.number}:{self.state}:{self.claims}:{self.agent}"


@dataclasses.dataclass
class Escalation:
    """An escalation's hash."""

    workflow: str
    state: str = "open"
    version: int = 1
    decision: str = ""
    action: str = ""
    actor: str = ""


@dataclasses.dataclass
class Workflow:
    """A workflow's hash and journal."""

    entry: Entry | None
    state: str = "queued"
    owner: str = ""
    epoch: int = 0
    open: int = 0
    parked: bool = False
    paused: bool = False
    checkpoints: int = 0
    late: int = 0
    seen: int | None = None
    stalls: int | None = None
    tasks: dict[str, Task] = dataclasses.field(default_factory=dict)
    accepted: set[str] = dataclasses.field(default_factory=set)
    journal: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)

    @property
    def seq(self) -> int:
        return len(self.journal)

    @property
    def ended(self) -> bool:
        return self.state in FINAL

    def show(self, otherwise: str) -> None:
        """Be in the state that pauses and open escalations leave, else in the one given."""
        self.state = "paused" if self.paused else "needs_human" if self.open else otherwise

    def settled(self, step: str) -> bool:
        return step in self.tasks and self.tasks[step].state == "s"


def outline(entry: Any) -> tuple[Any, ...]:
    """What of a journal entry must be as the model says: all but its times and payloads."""
    match entry:
        case j.TakenUp():
            return ("TakenUp", entry.epoch, entry.host, entry.previous, entry.cause)
        case j.Attempt() | j.Settled():
            return (type(entry).__name__, entry.step, entry.number)
        case j.TimedOut():
            return ("TimedOut", entry.step, entry.number, entry.agent)
        case j.Erred():
            return ("Erred", entry.step, entry.number, entry.agent, entry.error.kind)
        case j.Escalated():
            return ("Escalated", entry.escalation_id)
        case j.Decided():
            return ("Decided", entry.escalation_id, entry.action, entry.actor, entry.decision_id)
        case j.Finished():
            return ("Finished", entry.state)
    return (type(entry).__name__,)


class Held:
    """All that one shard holds."""

    def __init__(self) -> None:
        self.workflows: dict[str, Workflow] = {}
        self.streams: dict[str, list[Entry]] = {"w": [], "r": []}
        self.deadlines: dict[str, int | None] = {}  # None: some time that the server's clock decides
        self.changed: set[str] = set()  # since the relay has fetched the events
        self.escalations: dict[str, Escalation] = {}
        self.beats: dict[str, int] = {}

    # --- parts that scripts share ------------------------------------------------------

    def _add(self, mark: str, identity: str) -> Entry:
        entry = Entry(mark, identity)
        self.streams[mark].append(entry)
        return entry

    def _let_go(self, entry: Entry | None) -> None:
        if entry is not None:
            self.streams[entry.mark] = [known for known in self.streams[entry.mark] if known is not entry]

    def _find(self, name: str) -> Entry:
        for entry in self.streams[name[0]]:
            if entry.id == name[1:]:
                return entry
        for flow in self.workflows.values():
            if flow.entry and (flow.entry.mark, flow.entry.id) == (name[0], name[1:]):
                return flow.entry
        return Entry(name[0], "", name[1:])  # one that is gone

    def _resume(self, identity: str) -> None:
        flow = self.workflows[identity]
        if flow.parked:
            flow.parked = False
            flow.entry = self._add("r", identity)
            flow.show("queued")
            self.deadlines[identity] = None

    def _fence(self, identity: str, epoch: int) -> int:
        """What a coordinator's write is refused with, 0 when it may be."""
        if identity not in self.workflows:
            return GONE
        flow = self.workflows[identity]
        return STALE if flow.epoch != epoch or flow.ended else 0
