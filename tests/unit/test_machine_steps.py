"""What single entries of a journal do to a workflow's steps, live and replayed."""

from __future__ import annotations

from typing import Any

import pytest

from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.calls import ChildCall
from coordination.domain import ErrorInfo
from coordination.errors import (
    ChildFailed,
    SignalTimeout,
    WorkflowCancelled,
    WorkflowCodeChanged,
)
from tests.machine_recorder import Recorder, first_entry, forget_types, picture


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
    forget_types()


def test_only_timers_of_a_clock_that_was_set_back_are_moved() -> None:
    """One that was set before the clock went ahead keeps its time when the clock is right again."""
    start, hour = 1_000_000_000, 3_600_000
    entries = [
        j.Numbered(1, start, j.TimerSet("1", start + 600_000, "")),
        j.Numbered(2, start + 60_000 + hour, j.TimerSet("2", start + 90_000 + hour, "")),
        j.Numbered(3, start + 120_000, j.TakenUp(2, "host", "", "resume")),
    ]
    assert j.set_back(entries) == {2: 60_000 - hour}
