"""Journals and tasks as they must be: the scripts that owners and agents write by."""

from __future__ import annotations

from coordination import journal as j
from coordination.scripts import DUPLICATE, FINISHED, GONE, HELD, REFUSED, STALE, UNREAD
from tests.lua.model_values import Held, Task, Workflow, outline

MOST_CLAIMS = 5


class Tasks(Held):
    """Journals and tasks."""

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
        self.changed.add(identity)
        return 1

    def pause(self, identity: str) -> int:
        flow = self.workflows[identity]
        if flow.ended:
            return FINISHED
        if flow.paused:
            return DUPLICATE
        flow.paused, flow.state = True, "paused"
        flow.journal.append(("Progressed",))
        self.changed.add(identity)
        return 1

    def _unpause(self, flow: Workflow) -> bool:
        if not flow.paused:
            return False
        flow.paused = False
        flow.show("running" if flow.owner else "queued")
        return True

    def resume(self, identity: str) -> int:
        flow = self.workflows[identity]
        if flow.ended:
            return FINISHED
        if not self._unpause(flow):
            return DUPLICATE
        flow.journal.append(("Progressed",))
        self._resume(identity)
        self.changed.add(identity)
        return 1

    def interrupt(
        self, identity: str, dedupe: str, read: int | str, ends_pause: bool, steps: tuple[str, ...] = ()
    ) -> int:
        flow = self.workflows[identity]
        if dedupe in flow.accepted:
            return DUPLICATE
        if flow.ended:
            return FINISHED
        if read != "" and read != flow.seq:
            return UNREAD
        for step in steps:
            if step in flow.tasks:
                flow.tasks[step].state = "x"
        self._let_go(flow.entry)
        if ends_pause:
            self._unpause(flow)
        flow.accepted.add(dedupe)
        flow.owner, flow.parked, flow.entry = "", True, None
        flow.epoch += 1
        flow.journal.append(("Progressed",))
        self._resume(identity)
        self.changed.add(identity)
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
        self.changed.add(identity)
        return 1

    # --- tasks --------------------------------------------------------------------------

    def claim_task(self, identity: str, agent: str, number: int, previous: str, limit_ms: int, step: str) -> int:
        flow = self.workflows[identity]
        task = flow.tasks.get(step)
        if task is None:
            return GONE
        if flow.paused and task.agent != agent:
            return DUPLICATE
        if task.number != number or task.state not in "qc" or flow.ended:
            return DUPLICATE
        if task.state == "c" and task.agent not in (previous, agent):
            return HELD
        if (task.state, task.agent) != ("c", agent):
            task.claims += 1
        if task.claims > MOST_CLAIMS:
            task.state = "f"
            flow.journal.append(("Erred", step, number, task.agent, "Poison"))
            self.changed.add(identity)
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
        self.changed.add(identity)
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
