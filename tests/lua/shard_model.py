"""A shard as it must be: every script of the core in plain Python, one call at a time, without a server.

Each method is named like the call of ``tests.lua_bench.Bench`` that it models, takes the same arguments and gives the
answer's code. Times are left out, apart from those that a test sets itself.
"""

from __future__ import annotations

from coordination.scripts import CONFLICT, DUPLICATE, FINISHED, GONE, HELD, STALE, UNREAD
from tests.lua.model_tasks import Tasks
from tests.lua.model_values import Escalation, Task, Workflow


class Shard(Tasks):
    """All of it."""

    # --- leases -------------------------------------------------------------------------

    def submit(self, identity: str) -> int:
        if identity in self.workflows:
            return DUPLICATE
        self.workflows[identity] = Workflow(self._add("w", identity))
        self.deadlines[identity] = None
        self.changed.add(identity)
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
            if flow.entry is not entry:
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
        flow.show("running")
        flow.owner, flow.entry, flow.parked = host, entry, False
        self.deadlines[identity] = None
        self.changed.add(identity)
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
            flow.show("queued")
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
        flow.show("waiting")
        self.deadlines[identity] = due_ms
        self.changed.add(identity)
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
        self.changed.add(identity)
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

    # --- escalations ---------------------------------------------------------------------

    def escalate(self, identity: str, epoch: int, escalation: str, record: str, step: str, seq: int) -> int:
        if refused := self._fence(identity, epoch):
            return refused
        flow = self.workflows[identity]
        if escalation in self.escalations:
            return DUPLICATE
        if record and flow.settled(step) and seq != flow.seq:
            return UNREAD
        self.escalations[escalation] = Escalation(identity)
        if record:
            flow.tasks[step] = Task(int(record.split(":")[1]), record.split(":")[2])
        flow.open += 1
        flow.show("needs_human")
        flow.journal.append(("Escalated", escalation))
        self.changed.add(identity)
        return flow.seq

    def _close(self, escalation: str, state: str) -> Workflow:
        known = self.escalations[escalation]
        known.state, known.version = state, known.version + 1
        flow = self.workflows[known.workflow]
        flow.open -= 1
        if not flow.open and not flow.ended:
            flow.show("running" if flow.owner else "queued")
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
        self.changed.add(identity)
        return 1

    def withdraw(self, identity: str, epoch: int, escalation: str) -> int:
        if self.workflows[identity].epoch != epoch:
            return STALE
        known = self.escalations.get(escalation)
        if known is None or known.state != "open":
            return DUPLICATE
        self._close(escalation, "withdrawn")
        self.changed.add(identity)
        return 1
