"""A journal for a machine alone: writes what run() asks for, as an execution does, and replays it."""

from __future__ import annotations

from typing import Any

from coordination import DistributedCoordinator, catalog
from coordination import journal as j
from coordination.calls import ChildCall, HumanCall, ProgressCall, RecordCall, SignalCall, SleepCall, TaskCall
from coordination.errors import (
    BadRequest,
)
from coordination.keys import escalation_id
from coordination.machine import Machine
from coordination.restarting import plan


class Recorder:
    """Writes what a machine asks for, as an execution does, and keeps the journal."""

    def __init__(self, cls: type[DistributedCoordinator], *args: Any) -> None:
        self.cls, self.args = cls, args
        self.machine = self.fresh()
        self.journal: list[j.Numbered] = []

    def fresh(self) -> Machine:
        machine = Machine(self.cls("w1"), self.args, 1.0, 60.0)
        machine.start(1_000)
        return machine

    def write(self, entry: j.AnyEntry) -> None:
        item = j.Numbered(len(self.journal) + 1, 1_000 + 10 * len(self.journal), entry)
        self.take_in(item)

    def take_in(self, item: j.Numbered) -> None:
        """Apply an entry as its host does: after a restart another one takes the workflow up from its journal."""
        self.journal.append(item)
        if isinstance(item.entry, j.Restarted):
            self.machine = self.replayed()
        else:
            self.machine.apply(item)
        runs = self.machine.runs
        assert self.machine.unsettled == {step: run for step, run in runs.items() if run.state != "done"}

    def write_new(self) -> None:
        """Write everything that run() newly asks for."""
        for call in list(self.machine.new.values()):
            self.write(first_entry(call))

    def restart(self, step: str, request_id: str = "") -> bool:
        """Restart from a step, unless compensations have begun after it."""
        try:
            planned = plan(self.journal, step)
        except BadRequest:
            return False
        about = (planned.generation, planned.first, "anna", "", request_id, planned.closing, planned.orphans)
        kept = set(j.Account(self.journal).began) - set(planned.again)
        self.write(j.Restarted(step, *about))
        assert step in self.machine.new and not kept & set(self.machine.new)  # asked for anew, and nothing before it
        return True

    def replayed(self) -> Machine:
        machine, left_out = self.fresh(), j.gone(self.journal)
        for item in self.journal:
            if item.seq not in left_out:
                machine.apply(item)
        return machine


def first_entry(call: Any, generation: int = 0) -> j.AnyEntry:
    match call:
        case TaskCall():
            return j.Attempt(call.id, generation, 1, 0, call.task_type, call.digest, call.payload,
                             undoes=call.undoes)  # fmt: skip
        case SleepCall():
            return j.TimerSet(call.id, 5_000)
        case SignalCall():
            return j.SignalAwaited(call.id, call.name, 9_000 if call.timeout_s else 0)
        case HumanCall():
            return j.Escalated(
                call.id, escalation_id("w1", call.id, 1, generation), "human_input_requested", call.label
            )
        case RecordCall():
            return j.Recorded(call.id, call.name, b"7")
        case ChildCall():
            return j.ChildStarted(
                call.id, f"c{call.id}" + "-again" * generation, call.child_type, call.digest, call.payload
            )
        case ProgressCall():
            return j.Progressed(call.id, call.note)
    raise AssertionError(call)


def picture(machine: Machine) -> Any:
    """Everything about a machine that must be the same after a replay."""
    value, error = machine.outcome
    return (
        sorted(machine.new), sorted(machine._program.waiting), machine.timers, machine.asked, machine.reask,
        machine.open, machine.children, machine.orphans, machine.closing, machine.withdrawn, machine.done, value,
        (type(error), str(error)), machine.steps_total, machine.steps_done, machine.retrying, sorted(machine.dirty),
        machine.paused, machine.generation, machine.restart, len(machine._held),
        {step: (run.state, run.number, run.round, run.used, run.due_ms, run.payload, run.reason, run.escalations,
                run.generation, run.target, run.requires, run.since_ms,
                [e.message for e in run.errors]) for step, run in machine.runs.items()},
    )  # fmt: skip


def forget_types() -> None:
    """Take the workflow types of a module's machines out of the catalog."""
    for name in [name for name in catalog.workflow_types() if name.startswith("machine_")]:
        del catalog.workflow_types()[name]
