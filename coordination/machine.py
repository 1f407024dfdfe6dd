"""One workflow's state, made from its journal alone: the program and its steps.

Live and replayed, entries go through ``apply`` in journal order, so both take the same path. A
call that run() makes stands in ``new`` until its own entry is applied; what is left there after a
replay was never written and has to be. ``dirty`` holds the task steps whose next action may have
changed. Nothing here does I/O.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

import msgspec

from coordination import journal as j
from coordination.calls import Call, ChildCall, HumanCall, RecordCall, SignalCall, SleepCall
from coordination.coordinator import DistributedCoordinator, main
from coordination.errors import (
    ChildFailed,
    SignalTimeout,
    StepFailed,
    WorkflowCodeChanged,
)
from coordination.keys import child_id
from coordination.program import Program
from coordination.task_run import TaskRun, cancelled, words
from coordination.task_steps import TaskSteps


class Machine(TaskSteps):
    """Applies journal entries to a program and says what is to be done next.

    Args:
        coordinator: The workflow's own coordinator.
        args: Its decoded input, as arguments of ``run()``.
        backoff_s: First delay between attempts.
        backoff_max_s: Longest delay.
    """

    def __init__(
        self, coordinator: DistributedCoordinator, args: tuple[Any, ...], backoff_s: float, backoff_max_s: float
    ) -> None:
        self._coordinator = coordinator
        self._program = Program(main(coordinator, args))
        self._backoff = (backoff_s, backoff_max_s)
        self.new: dict[str, Call] = {}
        self.runs: dict[str, TaskRun] = {}
        self.unsettled: dict[str, TaskRun] = {}  # those of them that are not done, which long workflows have few of
        self.timers: dict[str, int] = {}  # step -> due, of sleeps and of signals' limits
        self.now_ms = sys.maxsize  # an entry that was stamped later, by a clock that was set, counts as of now
        self.set_back: dict[int, int] = {}  # what ``journal.set_back`` tells of timers to be replayed
        self.dirty: dict[str, TaskRun] = {}
        self.withdrawn: list[str] = []  # task steps that cancellation took away
        self.asked: dict[str, int] = {}  # open questions of ask_human: step -> escalations opened
        self.reask: dict[str, str] = {}  # those whose answer was none: step -> why
        self.open: dict[str, str] = {}  # open escalations: id -> step
        self.closing: list[str] = []  # escalations that cancellation made void
        self.children: dict[str, str] = {}  # started and awaited: step -> workflow id
        self.orphans: list[str] = []  # children that are to be cancelled
        self._signals: dict[str, deque[bytes]] = {}
        self._abandoned: dict[str, Call] = {}  # cancelled while their entry was being written
        self.cancelled: j.CancelRequested | None = None
        self.paused = False
        self.generation = 0
        self.restart: j.Decided | None = None  # a decision to restart from a step, not yet carried out
        self._held: list[j.Numbered] = []  # came while it was paused
        self.steps_total = 0
        self.steps_done = 0

    # --- how it stands ----------------------------------------------------------------

    def start(self, now_ms: int) -> None:
        """Run to the first calls."""
        self._coordinator._now_ms = now_ms
        self._run_on()

    def close(self) -> None:
        """Give up the program."""
        self._program.close()

    def recall(self) -> None:
        """Take every step that is under way for changed, because a write about it may be lost."""
        self.dirty.update((step, run) for step, run in self.unsettled.items() if run.state != "escalated")

    def clock_set(self, moved_ms: int) -> None:
        """Carry what is waited for over to a clock that was set, so that it takes as long as was meant."""
        self.timers = {step: due_ms + moved_ms for step, due_ms in self.timers.items()}
        for run in self.unsettled.values():
            run.due_ms += moved_ms
            run.since_ms += moved_ms
        self.recall()

    def cancel_outright(self, entry: j.CancelRequested) -> None:
        """End a program that cannot be run any more as cancelled; nothing of it is compensated."""
        self.cancelled = entry
        self.orphans += self.children.values()
        self._program.end(cancelled(entry))

    def end(self, error: BaseException) -> None:
        """End the program from outside, as if run() had raised."""
        self._program.end(error)

    @property
    def done(self) -> bool:
        """Whether run() has ended."""
        return self._program.done

    @property
    def outcome(self) -> tuple[Any, BaseException | None]:
        """What run() returned, and what it raised."""
        return self._program.value, self._program.error

    @property
    def retrying(self) -> int:
        """Steps in backoff."""
        return [run.state for run in self.unsettled.values()].count("backoff")

    @property
    def parkable(self) -> bool:
        """Whether only people, signals, children and timers can move it on."""
        if self.done or (not self.paused and (self.new or self.dirty or self.reask)):
            return False
        return self.paused or all(run.state == "escalated" for run in self.unsettled.values())

    def question(self, step: str) -> HumanCall | None:
        """The question that a step waits to have answered."""
        call = self._program.waiting.get(step)
        return call if isinstance(call, HumanCall) else None

    # --- applying ------------------------------------------------------------------------

    def apply(self, item: j.Numbered) -> None:
        """Take in the next entry of the journal and run on.

        Raises:
            WorkflowCodeChanged: The journal holds a step that run() did not ask for.
        """
        self._coordinator._now_ms = max(self._coordinator._now_ms, item.at_ms)
        if self.paused and type(item.entry) not in _WHILE_PAUSED:
            self._held.append(item)
        else:
            self._take_in(item)

    def _take_in(self, item: j.Numbered) -> None:
        handler = _HANDLERS.get(type(item.entry))
        if handler is not None:
            handler(self, item.entry, min(item.at_ms, self.now_ms))
            if item.seq in self.set_back:
                self._set_timer_back(item)
            self._run_on()

    def _set_timer_back(self, item: j.Numbered) -> None:
        if isinstance(item.entry, j.TimerSet | j.SignalAwaited) and item.entry.step in self.timers:
            self.timers[item.entry.step] += self.set_back[item.seq]

    def _run_on(self) -> None:
        self._program.run_on()
        for call in self._program.issued:
            self.steps_total += 1
            self.new[call.id] = call
        self._program.issued.clear()

    def _issued(self, step: str, entry: j.AnyEntry) -> Call:
        call = self.new.pop(step, None) or self._abandoned.pop(step, None)
        if call is None or not call.matches(entry):
            asked = "nothing" if call is None else f"{type(call).__name__.removesuffix('Call').lower()} {call.id}"
            raise WorkflowCodeChanged(
                f"The journal of {self._coordinator.workflow_id} holds step {step} ({words(entry)}), but run() asked "
                f"for {asked} there. Deploy the code it began with, or raise the version for new code; then retry."
            )
        return call

    def _finish(self, step: str, value: Any = None, error: BaseException | None = None) -> None:
        self.timers.pop(step, None)
        self.children.pop(step, None)
        if self._program.answer(step, value, error):
            self.steps_done += 1

    # --- people ------------------------------------------------------------------------------

    def _escalated(self, entry: j.Escalated, at_ms: int) -> None:
        run = self.runs.get(entry.step)
        self.open[entry.escalation_id] = entry.step
        if run is not None:
            run.escalations += 1
            if run.state != "done":
                run.state = "escalated"
            self.dirty.pop(entry.step, None)
        elif entry.step in self.asked:
            self.asked[entry.step] += 1
            self.reask.pop(entry.step, None)
        elif entry.step:
            self._issued(entry.step, entry)
            self.asked[entry.step] = 1
        if entry.step and entry.step not in self._program.waiting:  # cancelled while it was being opened
            self.closing.append(entry.escalation_id)

    def _decided(self, entry: j.Decided, at_ms: int) -> None:
        if self.open.pop(entry.escalation_id, None) is None:  # of a step that has begun anew since
            return
        if entry.action == "restart":
            self.restart = entry
        elif entry.action == "fail":
            run = self.runs.get(entry.step)
            if run is not None:
                self._end_run(entry.step, run)
            self.asked.pop(entry.step, None)
            self._finish(entry.step, error=StepFailed(f"{entry.actor} ended step {entry.step} as failed."))
        elif entry.step in self.runs:
            self._decided_task(entry, self.runs[entry.step], at_ms)
        elif entry.step in self.asked:
            self._decided_question(entry)

    def _decided_question(self, entry: j.Decided) -> None:
        call = self._program.waiting.get(entry.step)
        if not isinstance(call, HumanCall):
            return
        if entry.action not in ("supply", "skip"):
            self.reask[entry.step] = f"{entry.actor} chose {entry.action}, but a question wants an answer."
            return
        try:
            value = call.decode(entry.value) if entry.value not in (None, b"null") else None
        except msgspec.MsgspecError as error:
            self.reask[entry.step] = f"The answer of {entry.actor} does not fit: {error}."
            return
        self.asked.pop(entry.step, None)
        self._finish(entry.step, value)

    # --- timers and signals ------------------------------------------------------------------

    def _timer_set(self, entry: j.TimerSet, at_ms: int) -> None:
        self._issued(entry.step, entry)
        self.timers[entry.step] = entry.due_ms

    def _timer_fired(self, entry: j.TimerFired, at_ms: int) -> None:
        call = self._program.waiting.get(entry.step)
        self.timers.pop(entry.step, None)
        if isinstance(call, SignalCall):
            self._finish(
                entry.step, error=SignalTimeout(f"Signal {call.name!r} did not come within {call.timeout_s} s.")
            )
        elif isinstance(call, SleepCall):
            self._finish(entry.step)

    def _signal_awaited(self, entry: j.SignalAwaited, at_ms: int) -> None:
        call = self._issued(entry.step, entry)
        assert isinstance(call, SignalCall)
        buffered = self._signals.get(call.name)
        if buffered:
            self._give_signal(call, buffered.popleft())
        elif entry.due_ms:
            self.timers[entry.step] = entry.due_ms

    def _signalled(self, entry: j.Signalled, at_ms: int) -> None:
        for call in self._program.waiting.values():
            if isinstance(call, SignalCall) and call.name == entry.name and call.id not in self.new:
                self._give_signal(call, entry.value)
                return
        self._signals.setdefault(entry.name, deque()).append(entry.value)

    def _give_signal(self, call: SignalCall, raw: bytes) -> None:
        try:
            self._finish(call.id, call.decode(raw))
        except msgspec.MsgspecError as error:
            self._finish(call.id, error=StepFailed(f"Signal {call.name!r} does not fit: {error}."))

    # --- the rest ------------------------------------------------------------------------------

    def _recorded(self, entry: j.Recorded, at_ms: int) -> None:
        call = self._issued(entry.step, entry)
        assert isinstance(call, RecordCall)
        if entry.error is not None:
            self._finish(entry.step, error=StepFailed(f"record {entry.name!r} failed: {entry.error.message}"))
        else:
            self._finish(entry.step, call.decode(entry.value))

    def _progressed(self, entry: j.Progressed, at_ms: int) -> None:
        self._issued(entry.step, entry)
        self._finish(entry.step)

    def _child_started(self, entry: j.ChildStarted, at_ms: int) -> None:
        call = self._issued(entry.step, entry)
        assert isinstance(call, ChildCall)
        if entry.error is not None:
            self._finish(entry.step, error=ChildFailed(entry.error.message))
        elif not call.wait:
            self._finish(entry.step, entry.child_id)
        elif entry.step in self._program.waiting:
            self.children[entry.step] = entry.child_id
        else:  # cancelled while it was being started
            self.orphans.append(entry.child_id)

    def _child_ended(self, entry: j.ChildEnded, at_ms: int) -> None:
        call = self._program.waiting.get(entry.step)
        awaited = self.children.get(entry.step) or child_id(self._coordinator.workflow_id, entry.step, self.generation)
        if not isinstance(call, ChildCall) or entry.child_id != awaited:
            return
        if entry.state == "completed":
            try:
                self._finish(entry.step, call.decode(entry.value))
            except msgspec.MsgspecError as error:
                self._finish(
                    entry.step, error=ChildFailed(f"The result of child {entry.child_id} does not fit: {error}.")
                )
        else:
            why = f": {entry.error.message}" if entry.error else ""
            self._finish(entry.step, error=ChildFailed(f"Child {entry.child_id} ended {entry.state}{why}"))

    def _pause(self, entry: j.Paused, at_ms: int) -> None:
        self.paused = not self.done

    def _resume(self, entry: j.Resumed | None, at_ms: int) -> None:
        self.paused = False
        self.recall()  # nobody looked at what time brings
        for run in self.unsettled.values():
            if run.state == "queued":
                run.since_ms = at_ms
        held, self._held = self._held, []
        for item in held:
            self._take_in(item)

    def _restarted(self, entry: j.Restarted, at_ms: int) -> None:
        self.generation = entry.generation
        self.closing += entry.closing
        self.orphans += entry.orphans
        if self.restart is not None and self.restart.decision_id == entry.request_id:
            self.restart = None

    def _cancel(self, entry: j.CancelRequested, at_ms: int) -> None:
        if self.paused:
            self._resume(None, at_ms)
        if self.cancelled is not None or self.done:
            return
        self.restart = None
        self.cancelled = entry
        self.closing += [identity for identity, step in self.open.items() if step]
        self.orphans += self.children.values()
        self.reask.clear()
        for step in list(self._program.waiting):
            run = self.runs.get(step)
            if run is not None:
                self._end_run(step, run)
                self.withdrawn.append(step)
            if step in self.new:
                self._abandoned[step] = self.new.pop(step)
            self._finish(step, error=cancelled(entry))


_HANDLERS: dict[type[j.Entry], Any] = {
    j.Attempt: Machine._attempt, j.Settled: Machine._settled, j.Erred: Machine._erred, j.TimedOut: Machine._timed_out,
    j.RetryNow: Machine._retry_now, j.Escalated: Machine._escalated, j.Decided: Machine._decided,
    j.TimerSet: Machine._timer_set, j.TimerFired: Machine._timer_fired, j.SignalAwaited: Machine._signal_awaited,
    j.Signalled: Machine._signalled, j.Recorded: Machine._recorded, j.Progressed: Machine._progressed,
    j.ChildStarted: Machine._child_started, j.ChildEnded: Machine._child_ended, j.CancelRequested: Machine._cancel,
    j.Paused: Machine._pause, j.Resumed: Machine._resume, j.Restarted: Machine._restarted,
}  # fmt: skip
_WHILE_PAUSED = frozenset({j.Paused, j.Resumed, j.Restarted, j.CancelRequested})
