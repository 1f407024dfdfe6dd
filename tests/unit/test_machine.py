"""A workflow made from its journal is the same, live or replayed, whatever the journal holds."""

from __future__ import annotations

import random
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from coordination import DistributedCoordinator, catalog
from coordination import journal as j
from coordination.calls import ChildCall, HumanCall, ProgressCall, RecordCall, SignalCall, SleepCall, TaskCall
from coordination.domain import ErrorInfo
from coordination.errors import (
    BadRequest,
    ChildFailed,
    SignalTimeout,
    StepFailed,
    WorkflowCancelled,
    WorkflowCodeChanged,
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


class MachineEverything(DistributedCoordinator):
    """Branches that share state, so that any difference in order shows."""

    async def run(self, size: int) -> list[Any]:
        self.seen: list[Any] = []
        self.compensate("undo", size)
        await self.gather(*(self._branch(number) for number in range(size)))
        await self.progress(f"{len(self.seen)} done")
        return self.seen

    async def _branch(self, number: int) -> None:
        for attempt in range(3):
            try:
                self.seen.append((number, await self._step(number + attempt + len(self.seen))))
            except WorkflowCancelled:
                raise
            except StepFailed as error:
                self.seen.append((number, type(error).__name__))

    def _step(self, choice: int) -> Any:
        match choice % 7:
            case 0:
                return self.dispatch_task("work", {"n": choice}, max_retries=1)
            case 1:
                return self.wait_for_signal("go", timeout_s=5)
            case 2:
                return self.sleep(3)
            case 3:
                return self.ask_human("Well?", returns=int)
            case 4:
                return self.record("value", lambda: 1)
            case 5:
                return self.start_child("machine_everything", 1)
        return self.gather(self.dispatch_task("other", choice), self.sleep(1))


def step_once(recorder: Recorder, chance: random.Random) -> None:
    """Let something happen to the workflow: written by its host, or come from outside."""
    machine = recorder.machine
    runs, waiting = list(machine.runs.items()), list(machine._program.waiting.items())
    kinds = ["new"] * 6 + ["settle", "fail", "final", "timeout", "retry", "escalate", "decide", "signal", "fire"] * 2
    kinds += ["child", "answer", "now", "late", "taken", "nonsense"]
    kinds += ["resume"] * 3 if machine.paused else []
    if chance.random() < 0.1:
        kinds += ["cancel", "pause", "pause", *(["restart"] if len(recorder.journal) < 150 else [])]
    kind = chance.choice(kinds)
    if machine.paused and kind in ("new", "retry", "escalate", "fire", "nonsense"):
        return  # a host writes nothing while it is paused
    step, run = chance.choice(runs) if runs else ("", None)
    error = ErrorInfo("Error", "no", kind != "final")
    call_id, call = chance.choice(waiting) if waiting else ("", None)
    if kind == "new" and machine.new:
        recorder.write(first_entry(chance.choice(list(machine.new.values())), machine.generation))
    elif kind == "settle" and run is not None:
        recorder.write(j.Settled(step, 0, run.number, "a", 1, b"5"))
    elif kind in ("fail", "final") and run is not None:
        recorder.write(j.Erred(step, run.generation, run.number, "a", 1, error, chance.choice([None, 2.0])))
    elif kind == "timeout" and run is not None:
        recorder.write(j.TimedOut(step, 0, run.number, "a", 1))
    elif kind == "retry" and run is not None and run.state == "backoff":
        recorder.write(j.Attempt(step, run.generation, run.number + 1, run.round, run.call.task_type, run.call.digest))
    elif kind == "escalate" and run is not None and run.state == "exhausted":
        identity = escalation_id("w1", step, run.escalations + 1, run.generation)
        recorder.write(j.Escalated(step, identity, run.reason))
    elif kind in ("decide", "answer") and machine.open:
        identity, about = chance.choice(list(machine.open.items()))
        action = chance.choice(["retry", "edit", "supply", "skip", "fail", "reroute", "restart"])
        value = chance.choice([b"3", b'"x"', b"null", None])
        if action == "reroute":
            value = chance.choice([b'{"agent":"other"}', b'{"requires":{"kind":"nda"}}'])
        decision = f"d{len(recorder.journal)}"
        if action != "restart" or machine.cancelled is None:
            recorder.write(j.Decided(about, identity, action, "anna", decision, value))
        if machine.restart is not None and not recorder.restart(about, decision):
            recorder.write(j.Restarted("", machine.generation, len(recorder.journal) + 2, "anna", "", decision))
        machine = recorder.machine
        for asked in [] if machine.paused else list(machine.reask):
            number = machine.asked[asked] + 1
            recorder.write(
                j.Escalated(asked, escalation_id("w1", asked, number, machine.generation), "human_input_requested")
            )
    elif kind == "signal":
        recorder.write(j.Signalled("go", str(chance.random()), b"1"))
    elif kind == "fire" and machine.timers:
        recorder.write(j.TimerFired(chance.choice(list(machine.timers))))
    elif kind == "child" and machine.children:
        about, child = chance.choice(list(machine.children.items()))
        recorder.write(j.ChildEnded(about, child, chance.choice(["completed", "failed"]), b"[]", error))
    elif kind == "now" and run is not None:
        recorder.write(j.RetryNow(step, "anna"))
    elif kind == "pause" and not machine.paused:
        recorder.write(j.Paused("anna"))
    elif kind == "resume":
        recorder.write(j.Resumed("anna"))
    elif kind == "restart" and machine.cancelled is None and (began := list(j.Account(recorder.journal).began)):
        recorder.restart(chance.choice(began))
    elif kind == "taken":
        recorder.write(j.TakenUp(2, "h2", "h1", "takeover"))
    elif kind == "cancel":
        recorder.write(j.CancelRequested("anna", "enough"))
    elif kind == "late" and call is not None:
        recorder.write(j.Settled(call_id, 0, 99, "a", 1, b"6"))
    elif kind == "nonsense":
        recorder.write(j.TimerFired("77.7"))
        recorder.write(j.Decided("77.7", "w1~77.7~1", "supply", "x", "d", b"1"))


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**32), size=st.integers(1, 5), length=st.integers(1, 120))
def test_a_replay_equals_the_life_it_replays(seed: int, size: int, length: int) -> None:
    chance = random.Random(seed)
    recorder = Recorder(MachineEverything, size)
    for _ in range(length):
        if recorder.machine.done:
            break
        held = recorder.machine
        before = (held.paused, held.steps_total, held.steps_done)
        step_once(recorder, chance)
        if before[0] and held.paused and recorder.machine is held:
            assert (held.steps_total, held.steps_done) == before[1:]  # run() stands still
    assert picture(recorder.replayed()) == picture(recorder.machine)
    # a crash may also come before what run() asked for was written: any prefix replays, too
    prefix = Recorder(MachineEverything, size)
    for item in recorder.journal[: length // 2]:
        prefix.take_in(item)
    for item in recorder.journal[length // 2 :]:
        prefix.take_in(item)
    assert picture(prefix.machine) == picture(recorder.machine)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**32), size=st.integers(1, 4))
def test_every_life_comes_to_its_end(seed: int, size: int) -> None:
    chance = random.Random(seed)
    recorder = Recorder(MachineEverything, size)
    for _ in range(3_000):
        if recorder.machine.done:
            break
        step_once(recorder, chance)
    assert recorder.machine.done
    assert picture(recorder.replayed()) == picture(recorder.machine)


# --- one thing at a time ----------------------------------------------------------------


class MachineTask(DistributedCoordinator):
    async def run(self) -> Any:
        return await self.dispatch_task("work", 1, max_retries=1)


class MachinePair(DistributedCoordinator):
    async def run(self) -> Any:
        return await self.gather(self.dispatch_task("work", 1), self.dispatch_task("work", 2))


class MachineChild(DistributedCoordinator):
    async def run(self) -> Any:
        try:
            return await self.start_child("machine_task")
        except ChildFailed as error:
            return str(error)


class MachineSignal(DistributedCoordinator):
    async def run(self) -> Any:
        try:
            return await self.wait_for_signal("go", timeout_s=2, returns=int)
        except SignalTimeout:
            return "late"


def test_attempts_are_bounded() -> None:
    recorder = Recorder(MachineTask)
    recorder.write_new()
    run = recorder.machine.runs["1"]
    recorder.write(j.Erred("1", 0, 1, "a", 1, ErrorInfo("E", "no")))
    assert run.state == "backoff" and recorder.machine.retrying == 1
    recorder.write(j.Attempt("1", 0, 2, 0, "work", run.call.digest))
    recorder.write(j.TimedOut("1", 0, 2, "a", 1))
    assert (run.state, run.reason) == ("exhausted", "max_retries_exceeded")
    assert not recorder.machine.parkable


def test_an_attempt_written_twice_counts_once() -> None:
    recorder = Recorder(MachineTask)
    recorder.write_new()
    recorder.write(recorder.journal[0].entry)
    assert recorder.machine.runs["1"].used == 1


def test_outcomes_of_other_attempts_change_nothing() -> None:
    recorder = Recorder(MachineTask)
    recorder.write_new()
    recorder.write(j.Erred("1", 0, 7, "a", 1, ErrorInfo("E", "no")))
    recorder.write(j.TimedOut("1", 0, 7, "a", 1))
    assert recorder.machine.runs["1"].state == "queued"
    recorder.write(j.Settled("1", 0, 7, "a", 1, b"3"))
    assert recorder.machine.outcome == (3, None)


def test_cancellation_while_an_entry_is_being_written() -> None:
    recorder = Recorder(MachinePair)
    first, second = list(recorder.machine.new.values())
    recorder.write(first_entry(first))
    recorder.write(j.CancelRequested("anna", "enough"))  # the second attempt is on its way
    assert recorder.machine.done and isinstance(recorder.machine.outcome[1], WorkflowCancelled)
    recorder.write(first_entry(second))
    assert recorder.machine.withdrawn == [first.id, second.id]
    assert picture(recorder.replayed()) == picture(recorder.machine)


def test_a_child_that_was_being_started_when_its_parent_was_cancelled_is_cancelled() -> None:
    recorder = Recorder(MachineChild)
    [call] = recorder.machine.new.values()
    recorder.write(j.CancelRequested("anna", "enough"))
    recorder.write(first_entry(call))
    assert recorder.machine.orphans == ["c1"]
    assert picture(recorder.replayed()) == picture(recorder.machine)


def test_a_child_that_could_not_be_started_fails_in_every_replay() -> None:
    recorder = Recorder(MachineChild)
    [call] = recorder.machine.new.values()
    assert isinstance(call, ChildCall)
    refused = ErrorInfo("UnknownWorkflowType", "no such type", False)
    recorder.write(j.ChildStarted("1", "c1", call.child_type, call.digest, call.payload, refused))
    assert recorder.machine.outcome[0] == "no such type"
    assert picture(recorder.replayed()) == picture(recorder.machine)


@pytest.mark.parametrize("signal_first", [True, False])
def test_a_signal_and_its_time_limit_race_by_the_journal_alone(signal_first: bool) -> None:
    recorder = Recorder(MachineSignal)
    recorder.write_new()
    both: list[j.AnyEntry] = [j.Signalled("go", "s", b"4"), j.TimerFired("1")]
    for entry in both if signal_first else reversed(both):
        recorder.write(entry)
    assert recorder.machine.outcome[0] == (4 if signal_first else "late")
    assert not recorder.machine.timers


@pytest.mark.parametrize(
    "entry",
    [
        j.Attempt("1", 0, 1, 0, "other", b"x"),
        j.Attempt("1", 0, 1, 0, "work", b"otherhash"),
        j.TimerSet("1", 5),
        j.SignalAwaited("1", "go"),
        j.Recorded("1", "x", b"1"),
        j.ChildStarted("1", "c", "t", b"d"),
        j.Progressed("1", "x"),
        j.Escalated("1", "w1~1~1", "human_input_requested"),
        j.Attempt("2", 0, 1, 0, "work", j.digest(b"1")),
    ],
)
def test_a_journal_that_holds_something_else_is_told(entry: j.AnyEntry) -> None:
    recorder = Recorder(MachineTask)
    with pytest.raises(WorkflowCodeChanged, match="Deploy the code it began with"):
        recorder.write(entry)


def test_everything_under_way_is_due_again_after_a_lost_write() -> None:
    recorder = Recorder(MachinePair)
    recorder.write_new()
    recorder.write(j.Erred("1.0.1", 0, 1, "a", 1, ErrorInfo("E", "no")))
    recorder.machine.dirty.clear()
    recorder.machine.recall()
    assert set(recorder.machine.dirty) == {"1.0.1", "1.1.1"}
    recorder.write(j.Settled("1.0.1", 0, 1, "a", 1, b"1"))
    recorder.machine.dirty.clear()
    recorder.machine.recall()
    assert set(recorder.machine.dirty) == {"1.1.1"}


def test_now_never_goes_back() -> None:
    class MachineClock(DistributedCoordinator):
        async def run(self) -> list[float]:
            times = []
            for _ in range(3):
                await self.sleep(1)
                times.append(self.now().timestamp())
            return times

    recorder = Recorder(MachineClock)
    for at_ms in (5_000, 3_000, 9_000):
        recorder.write_new()
        step = next(iter(recorder.machine.timers))
        item = j.Numbered(len(recorder.journal) + 1, at_ms, j.TimerFired(step))
        recorder.journal.append(item)
        recorder.machine.apply(item)
    assert recorder.machine.outcome[0] == [5.0, 5.0, 9.0]


def teardown_module() -> None:
    for name in [name for name in catalog.workflow_types() if name.startswith("machine_")]:
        del catalog.workflow_types()[name]
