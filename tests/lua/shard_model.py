"""A shard as it must be: every script of the core in plain Python, one call at a time, without a server.

Each method is named like the call of ``tests.lua_bench.Bench`` that it models, takes the same arguments and gives the
answer's code. Times are left out, apart from those that a test sets itself.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from coordination import journal as j
from coordination.scripts import CONFLICT, DUPLICATE, FINISHED, GONE, HELD, REFUSED, STALE, UNREAD

FINAL = ("completed", "failed", "cancelled")
MOST_CLAIMS = 5


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


class Shard:
    """All that one shard holds."""

    def __init__(self) -> None:
        self.workflows: dict[str, Workflow] = {}
        self.streams: dict[str, list[Entry]] = {"w": [], "r": []}
        self.deadlines: dict[str, int | None] = {}  # None: some time that the server's clock decides
        self.events: list[tuple[str, str, int]] = []
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
            if not flow.open:
                flow.state = "queued"
            self.deadlines[identity] = None

    def _tell(self, identity: str, kind: str) -> None:
        self.events.append((identity, kind, self.workflows[identity].seq))

    def _fence(self, identity: str, epoch: int) -> int:
        """What a coordinator's write is refused with, 0 when it may be."""
        if identity not in self.workflows:
            return GONE
        flow = self.workflows[identity]
        return STALE if flow.epoch != epoch or flow.ended else 0

    # --- leases -------------------------------------------------------------------------

    def submit(self, identity: str) -> int:
        if identity in self.workflows:
            return DUPLICATE
        self.workflows[identity] = Workflow(self._add("w", identity))
        self.deadlines[identity] = None
        self._tell(identity, "submitted")
        return 1

    def read(self, host: str, mark: str) -> list[str]:
        """The workflows whose entries a host is given."""
        found = [entry for entry in self.streams[mark] if not entry.consumer]
        for entry in found:
            entry.consumer = host
        return [entry.workflow for entry in found]

    def claim(self, identity: str, host: str, name: str, previous: str) -> int:
        flow, entry = self.workflows[identity], self._find(name)
        if flow.ended:
            self._let_go(entry)
            return FINISHED
        if flow.owner not in ("", host, previous):
            self._let_go(entry)
            return HELD
        if flow.entry is not entry:
            self._let_go(flow.entry)
        flow.epoch += 1
        if flow.epoch > 1:
            cause = "resume"
            if flow.owner:
                cause = "takeover"
                flow.stalls = (flow.stalls or 0) + 1 if flow.seen == flow.seq else 0
                flow.seen = flow.seq + 1
            flow.journal.append(("TakenUp", flow.epoch, host, flow.owner, cause))
        flow.state = "needs_human" if flow.open else "running"
        flow.owner, flow.entry, flow.parked = host, entry, False
        self.deadlines[identity] = None
        self._tell(identity, "taken_up" if flow.epoch > 1 else "started")
        return 1

    def take_over(self, mark: str, dead: str, host: str, most: int) -> list[str]:
        """The workflows whose entries change hands."""
        found = [entry for entry in self.streams[mark] if entry.consumer == dead][:most]
        for entry in found:
            entry.consumer = host
        return [entry.workflow for entry in found]

    def release(self, identity: str, epoch: int, delay_ms: int) -> int:
        if refused := self._fence(identity, epoch):
            return refused
        flow = self.workflows[identity]
        self._let_go(flow.entry)
        flow.owner, flow.parked, flow.entry = "", True, None
        if delay_ms:
            if not flow.open:
                flow.state = "queued"
            self.deadlines[identity] = None
        else:
            self._resume(identity)
        return 1

    def park(self, identity: str, epoch: int, seq: int, due_ms: int) -> int:
        flow = self.workflows[identity]
        if flow.epoch != epoch:
            return STALE
        if not flow.owner:
            return 1
        if flow.seq != seq:
            return UNREAD
        self._let_go(flow.entry)
        flow.owner, flow.parked, flow.entry = "", True, None
        if not flow.open:
            flow.state = "waiting"
        self.deadlines[identity] = due_ms
        self._tell(identity, "parked")
        return 1

    def finish(self, identity: str, epoch: int, seq: int, state: str = "completed") -> int:
        flow = self.workflows[identity]
        if flow.epoch != epoch:
            return STALE
        if flow.ended:
            return 1
        if flow.seq != seq:
            return UNREAD
        self._let_go(flow.entry)
        flow.state, flow.owner, flow.entry = state, "", None
        flow.journal.append(("Finished", state))
        del self.deadlines[identity]
        self._tell(identity, "finished")
        return 1

    def look(self, identity: str, live: str) -> int:
        flow = self.workflows[identity]
        if flow.ended:
            return GONE
        self.deadlines[identity] = None
        if flow.parked:
            self._resume(identity)
            return 1
        if flow.owner and flow.owner in live.split():
            return 2
        if flow.entry in self.streams["w"] + self.streams["r"]:
            return 4
        flow.parked, flow.owner = True, ""
        self._resume(identity)
        return 1

    def beat(self, host: str, first: bool) -> int:
        if not first and host not in self.beats:
            return STALE
        self.beats[host] = self.beats.get(host, 0) + 1
        return 1

    def declare_dead(self, host: str, count: int) -> int:
        if host not in self.beats:
            return GONE
        if self.beats[host] != count:
            return CONFLICT
        del self.beats[host]
        return 1

    # --- journal ------------------------------------------------------------------------

    def checkpoint(
        self,
        identity: str,
        epoch: int,
        entries: list[bytes],
        fields: tuple[str, ...] = (),
        due_ms: int = 0,
        most: int = 100,
        known: int = 0,
    ) -> int:
        if refused := self._fence(identity, epoch):
            return refused
        flow = self.workflows[identity]
        if flow.checkpoints != known:
            return UNREAD
        if flow.seq + len(entries) > most:
            return REFUSED
        records = dict(zip(fields[::2], fields[1::2], strict=True))
        steps = {name.partition(":")[2]: value.split(":") for name, value in records.items()}
        if any(parts[2] == "q" and flow.settled(step) for step, parts in steps.items()):
            return UNREAD
        first = flow.seq + 1
        flow.checkpoints += 1
        for step, parts in steps.items():
            flow.tasks[step] = Task(int(parts[1]), parts[2])
        flow.journal += [outline(j.decode(blob)) for blob in entries]
        if due_ms:
            self.deadlines[identity] = due_ms
        return first

    def accept(self, identity: str, dedupe: str) -> int:
        flow = self.workflows[identity]
        if dedupe and dedupe in flow.accepted:
            return DUPLICATE
        if flow.ended:
            return FINISHED
        if dedupe:
            flow.accepted.add(dedupe)
        flow.journal.append(("Progressed",))
        self._resume(identity)
        self._tell(identity, "progressed")
        return 1

    def expire_task(self, identity: str, epoch: int, number: int, step: str) -> int:
        if refused := self._fence(identity, epoch):
            return refused
        flow = self.workflows[identity]
        task = flow.tasks.get(step)
        if task is None:
            return GONE
        if task.number != number or task.state not in "qc":
            return DUPLICATE
        if task.state == "q":
            return 2
        if not task.expired:
            return 3
        task.state = "f"
        flow.journal.append(("TimedOut", step, number, task.agent))
        self._tell(identity, "progressed")
        return 1

    # --- tasks --------------------------------------------------------------------------

    def claim_task(self, identity: str, agent: str, number: int, previous: str, limit_ms: int, step: str) -> int:
        flow = self.workflows[identity]
        task = flow.tasks.get(step)
        if task is None:
            return GONE
        if task.number != number or task.state not in "qc" or flow.ended:
            return DUPLICATE
        if task.state == "c" and task.agent not in (previous, agent):
            return HELD
        if (task.state, task.agent) != ("c", agent):
            task.claims += 1
        if task.claims > MOST_CLAIMS:
            task.state = "f"
            flow.journal.append(("Erred", step, number, task.agent, "Poison"))
            self._tell(identity, "progressed")
            return 2
        task.state, task.agent, task.expired = "c", agent, limit_ms < 0
        return 1

    def report_task(self, identity: str, state: str, number: int, generation: int, step: str) -> int:
        flow = self.workflows[identity]
        task = flow.tasks.get(step)
        if task is None:
            return GONE
        is_open = task.state in ("qcf" if state == "s" else "qc") and (state == "s" or task.number == number)
        if generation or not is_open or flow.ended:
            flow.late += 1
            return DUPLICATE
        task.state = state
        flow.journal.append(("Settled", step, number) if state == "s" else ("Erred", step, number, "a", "Oops"))
        self._tell(identity, "progressed")
        return 1

    def _held(self, identity: str, agent: str, number: int, step: str) -> Task | int:
        task = self.workflows[identity].tasks.get(step)
        if task is None:
            return GONE
        return task if (task.state, task.number, task.agent) == ("c", number, agent) else STALE

    def renew_task(self, identity: str, agent: str, number: int, step: str) -> int:
        flow = self.workflows[identity]
        if step in flow.tasks and (flow.tasks[step].state == "x" or flow.ended):
            return FINISHED
        held = self._held(identity, agent, number, step)
        if isinstance(held, int):
            return held
        held.expired = False
        return 1

    def unclaim_task(self, identity: str, agent: str, number: int, step: str) -> int:
        held = self._held(identity, agent, number, step)
        if isinstance(held, int):
            return held
        held.state, held.agent, held.claims, held.expired = "q", "", held.claims - 1, False
        return 1

    # --- escalations ---------------------------------------------------------------------

    def escalate(self, identity: str, epoch: int, escalation: str, record: str, step: str) -> int:
        if refused := self._fence(identity, epoch):
            return refused
        flow = self.workflows[identity]
        if escalation in self.escalations:
            return DUPLICATE
        if record and flow.settled(step):
            return UNREAD
        self.escalations[escalation] = Escalation(identity)
        if record:
            flow.tasks[step] = Task(int(record.split(":")[1]), record.split(":")[2])
        flow.open += 1
        flow.state = "needs_human"
        flow.journal.append(("Escalated", escalation))
        self._tell(identity, "escalated")
        return flow.seq

    def _close(self, escalation: str, state: str) -> Workflow:
        known = self.escalations[escalation]
        known.state, known.version = state, known.version + 1
        flow = self.workflows[known.workflow]
        flow.open -= 1
        if not flow.open and not flow.ended:
            flow.state = "running" if flow.owner else "queued"
        return flow

    def decide(self, identity: str, escalation: str, decision: str, version: int, action: str) -> int:
        known, flow = self.escalations.get(escalation), self.workflows[identity]
        if known is None:
            return GONE
        if known.decision == decision:
            return DUPLICATE
        if known.state != "open" or known.version != version:
            return CONFLICT
        if flow.ended:
            return FINISHED
        known.decision, known.action, known.actor = decision, action, f"actor of {decision}"
        self._close(escalation, "resolved")
        flow.journal.append(("Decided", escalation, action, known.actor, decision))
        self._resume(identity)
        self._tell(identity, "decided")
        return 1

    def withdraw(self, identity: str, epoch: int, escalation: str) -> int:
        if self.workflows[identity].epoch != epoch:
            return STALE
        known = self.escalations.get(escalation)
        if known is None or known.state != "open":
            return DUPLICATE
        self._close(escalation, "withdrawn")
        self._tell(identity, "decided")
        return 1
