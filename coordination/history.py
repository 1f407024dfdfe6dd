"""What people see of a journal: its steps with their attempts, and its rows.

Pure functions over entries, used alike for live workflows and for archived ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from coordination import journal as j
from coordination.backoff import backoff_ms
from coordination.domain import AttemptView, JournalRow, StepKind, StepState, StepView

_decode_json = msgspec.json.Decoder().decode


def _json(raw: bytes | None) -> Any:
    return None if raw is None else _decode_json(raw)


class _Fold:
    """Builds the steps of one workflow from its entries, in journal order."""

    def __init__(self) -> None:
        self.generation = 0
        self.steps: dict[str, StepView] = {}
        self.past: dict[str, list[StepView]] = {}  # steps as they were when a restart made them begin anew
        self.began: dict[str, int] = {}  # step -> number of its first entry
        self.seq = 0  # of the entry that is being applied
        self.early: dict[str, list[bytes]] = {}  # signals that came before run() waited for them
        self.final: str = ""

    def step(self, step_id: str, kind: StepKind, name: str, at_ms: int, state: StepState) -> StepView:
        view = self.steps.get(step_id)
        if view is None:
            view = StepView(id=step_id, kind=kind, name=name, state=state, started_ms=at_ms)
            view.generation, view.earlier = self.generation, self.past.get(step_id, [])
            self.steps[step_id] = view
            self.began[step_id] = self.seq
        return view

    def attempt(self, step_id: str, number: int) -> AttemptView | None:
        view = self.steps.get(step_id)
        if view is None:
            return None
        return next((a for a in reversed(view.attempts) if a.number == number), None)

    def end_attempt(self, entry: j.Settled | j.Erred | j.TimedOut, at_ms: int, outcome: str) -> None:
        attempt = self.attempt(entry.step, entry.number)
        if attempt is None:
            return
        attempt.outcome = outcome
        attempt.agent = entry.agent
        attempt.started_ms = entry.claimed_ms
        attempt.finished_ms = at_ms

    def apply(self, item: j.Numbered) -> None:
        entry, at_ms = item.entry, item.at_ms
        self.seq = item.seq
        match entry:
            case j.Attempt():
                view = self.step(entry.step, StepKind.TASK, entry.task_type, at_ms, StepState.QUEUED)
                view.state = StepState.QUEUED
                view.generation = entry.generation
                view.next_retry_ms = 0
                for earlier in view.attempts:
                    if earlier.outcome == "queued":
                        earlier.outcome = "superseded"
                        earlier.finished_ms = at_ms
                view.attempts.append(AttemptView(number=entry.number, queued_ms=at_ms))
                if entry.payload is not None:
                    view.input = _json(entry.payload)
            case j.Settled():
                self.end_attempt(entry, at_ms, "succeeded")
                self._finish(entry.step, at_ms, StepState.SUCCEEDED, _json(entry.value))
            case j.Erred():
                self.end_attempt(entry, at_ms, "failed")
                self._error(entry.step, entry.number, entry.error)
            case j.TimedOut():
                self.end_attempt(entry, at_ms, "timed_out")
                self._backoff(entry.step)
            case j.TimerSet():
                view = self.step(entry.step, StepKind.TIMER, entry.label or "sleep", at_ms, StepState.WAITING)
                view.due_ms = entry.due_ms
            case j.TimerFired():
                fired = self.steps.get(entry.step)
                if fired is not None and fired.kind is StepKind.SIGNAL:
                    self._finish(entry.step, at_ms, StepState.FAILED, None)
                else:
                    self._finish(entry.step, at_ms, StepState.SUCCEEDED, None)
            case j.SignalAwaited():
                view = self.step(entry.step, StepKind.SIGNAL, entry.name, at_ms, StepState.WAITING)
                view.due_ms = entry.due_ms
                if early := self.early.get(entry.name):
                    self._finish(entry.step, at_ms, StepState.SUCCEEDED, _json(early.pop(0)))
            case j.Signalled():
                self._signalled(entry, at_ms)
            case j.Recorded():
                view = self.step(entry.step, StepKind.RECORD, entry.name, at_ms, StepState.SUCCEEDED)
                view.error = entry.error
                ended = StepState.FAILED if entry.error else StepState.SUCCEEDED
                self._finish(entry.step, at_ms, ended, _json(entry.value))
            case j.ChildStarted():
                view = self.step(entry.step, StepKind.CHILD, entry.child_type, at_ms, StepState.WAITING)
                view.child_id = "" if entry.error else entry.child_id
                view.input, view.error = _json(entry.payload), entry.error
                if entry.error:
                    self._finish(entry.step, at_ms, StepState.FAILED, None)
            case j.ChildEnded():
                if entry.step in self.steps and self.steps[entry.step].child_id != entry.child_id:
                    return  # a child of before a restart
                ended = StepState.SUCCEEDED if entry.state == "completed" else StepState.FAILED
                self._finish(entry.step, at_ms, ended, _json(entry.value))
                if entry.error is not None and entry.step in self.steps:
                    self.steps[entry.step].error = entry.error
            case j.Escalated():
                view = self.step(entry.step, StepKind.HUMAN, entry.label or entry.reason, at_ms, StepState.ESCALATED)
                view.state = StepState.ESCALATED
                view.escalation_id = entry.escalation_id
                view.next_retry_ms = view.finished_ms = 0
                view.output = None  # an answer that did not fit
                if view.kind is StepKind.HUMAN and entry.payload is not None:
                    view.input = _json(entry.payload)
            case j.Decided():
                if entry.step in self.steps and self.steps[entry.step].escalation_id == entry.escalation_id:
                    self._decided(entry, at_ms)
            case j.Restarted():
                self._restarted(entry, at_ms)
            case j.Finished():
                self.final = entry.state
            case _:
                pass

    def _restarted(self, entry: j.Restarted, at_ms: int) -> None:
        self.generation = entry.generation
        for step in [step for step, seq in self.began.items() if seq >= entry.first]:
            del self.began[step]
            view = self.steps.pop(step, None)
            if view is not None:
                self.past.setdefault(step, []).append(_set_aside(view, at_ms))

    def _signalled(self, entry: j.Signalled, at_ms: int) -> None:
        for view in self.steps.values():
            if view.kind is StepKind.SIGNAL and view.name == entry.name and view.state is StepState.WAITING:
                self._finish(view.id, at_ms, StepState.SUCCEEDED, _json(entry.value))
                return
        self.early.setdefault(entry.name, []).append(entry.value)

    def _decided(self, entry: j.Decided, at_ms: int) -> None:
        if entry.action == "supply":
            self._finish(entry.step, at_ms, StepState.SUCCEEDED, _json(entry.value))
        elif entry.action == "skip":
            self._finish(entry.step, at_ms, StepState.SKIPPED, _json(entry.value))
        elif entry.action == "fail":
            self._finish(entry.step, at_ms, StepState.FAILED, None)
        elif entry.step in self.steps:
            self.steps[entry.step].state = StepState.BACKOFF

    def _finish(self, step_id: str, at_ms: int, state: StepState, output: Any) -> None:
        view = self.steps.get(step_id)
        if view is None:
            return
        view.state = state
        view.output = output
        view.finished_ms = at_ms
        view.next_retry_ms = 0
        for attempt in view.attempts:
            if attempt.outcome in ("queued", "running"):
                attempt.outcome = "superseded"
                attempt.finished_ms = at_ms

    def _backoff(self, step_id: str) -> None:
        view = self.steps.get(step_id)
        if view is not None and view.state in (StepState.QUEUED, StepState.RUNNING):
            view.state = StepState.BACKOFF

    def _error(self, step_id: str, number: int, error: Any) -> None:
        view = self.steps.get(step_id)
        if view is None:
            return
        view.error = error
        attempt = self.attempt(step_id, number)
        if attempt is not None:
            attempt.error = error
        self._backoff(step_id)


def _set_aside(view: StepView, at_ms: int) -> StepView:
    """A step that a restart made begin anew: what had not ended has been cancelled then."""
    view.earlier = []
    if not view.finished_ms:
        view.state, view.finished_ms, view.next_retry_ms = StepState.CANCELLED, at_ms, 0
        for attempt in view.attempts:
            if attempt.outcome in ("queued", "running"):
                attempt.outcome, attempt.finished_ms = "cancelled", at_ms
    return view


def steps(entries: Iterable[j.Numbered]) -> list[StepView]:
    """The steps of a workflow in the order in which they began.

    Steps that were under way when the workflow ended are shown as cancelled. Those that a restart made begin anew
    hold what they were before in ``earlier``.
    """
    fold = _Fold()
    for item in entries:
        fold.apply(item)
    views = list(fold.steps.values())
    if fold.final:
        for view in views:
            if not view.finished_ms:
                view.state = StepState.CANCELLED
    return views


_KINDS: dict[type[j.Entry], str] = {
    j.Attempt: "attempt",
    j.TimerSet: "timer_set",
    j.TimerFired: "timer_fired",
    j.SignalAwaited: "signal_awaited",
    j.Recorded: "recorded",
    j.ChildStarted: "child_started",
    j.Escalated: "escalated",
    j.TimedOut: "timed_out",
    j.Progressed: "progress",
    j.Finished: "finished",
    j.Settled: "succeeded",
    j.Erred: "failed",
    j.Signalled: "signal",
    j.Decided: "decided",
    j.ChildEnded: "child_ended",
    j.CancelRequested: "cancel_requested",
    j.RetryNow: "retry_now",
    j.TakenUp: "taken_up",
    j.Paused: "paused",
    j.Resumed: "resumed",
    j.Restarted: "restarted",
    j.Terminated: "terminated",
}


def _summary(entry: j.AnyEntry) -> str:
    match entry:
        case j.Attempt():
            return f"attempt {entry.number} of {entry.task_type}"
        case j.Settled():
            return f"attempt {entry.number} succeeded on {entry.agent}"
        case j.Erred():
            return f"attempt {entry.number} failed on {entry.agent}: {entry.error.kind}: {entry.error.message}"
        case j.TimedOut():
            return f"attempt {entry.number} on {entry.agent} ran out of time"
        case j.Decided():
            return f"{entry.actor} decided: {entry.action}"
        case j.TakenUp():
            return f"{entry.cause}: {entry.host} took up from {entry.previous or 'nobody'}, epoch {entry.epoch}"
        case j.Escalated():
            return f"handed to people: {entry.reason.replace('_', ' ')}"
        case j.Signalled() | j.SignalAwaited() | j.Recorded():
            return entry.name
        case j.ChildStarted() | j.ChildEnded():
            return entry.child_id
        case j.CancelRequested():
            return _because(f"{entry.actor} asked to cancel", entry.reason)
        case j.Paused():
            return _because(f"{entry.actor} paused the workflow", entry.reason)
        case j.Resumed():
            return f"{entry.actor} resumed the workflow"
        case j.Restarted():
            return _because(f"{entry.actor} restarted from step {entry.step}", entry.reason)
        case j.Terminated():
            return _because(f"{entry.actor} terminated the workflow", entry.reason)
        case j.Progressed():
            return entry.note
        case j.Finished():
            return f"{entry.state}: {entry.error.message}" if entry.error else entry.state
        case j.TimerSet():
            return entry.label
        case _:
            return ""


def _because(words: str, reason: str) -> str:
    return f"{words}: {reason}" if reason else words


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return _decode_json(value)
        except msgspec.DecodeError:
            return value.hex()
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    return value


def rows(entries: Iterable[j.Numbered]) -> list[JournalRow]:
    """The journal as people read it, oldest first."""
    shown = []
    for item in entries:
        data = {name: _shown(getattr(item.entry, name)) for name in item.entry.__struct_fields__}
        data.pop("digest", None)
        step = data.pop("step", "")
        shown.append(
            JournalRow(
                seq=item.seq,
                at_ms=item.at_ms,
                kind=_KINDS[type(item.entry)],
                step=step,
                summary=_summary(item.entry),
                data={name: value for name, value in data.items() if value not in (None, "")},
            )
        )
    return shown


def add_next_retry(
    view: StepView, entries: Iterable[j.Numbered], workflow_id: str, backoff_s: float, backoff_max_s: float
) -> None:
    """Show when a step in backoff is tried again: as its coordinator computes it."""
    if view.state is not StepState.BACKOFF:
        return
    used = 0
    for item in entries:
        entry = item.entry
        if getattr(entry, "step", None) != view.id:
            continue
        match entry:
            case j.Attempt():
                used += 1
            case j.Decided():
                used, view.next_retry_ms = 0, item.at_ms
            case j.RetryNow():
                view.next_retry_ms = item.at_ms
            case j.Erred(retry_after_s=after_s) if after_s is not None:
                view.next_retry_ms = item.at_ms + int(min(max(after_s, 0.0), backoff_max_s) * 1000)
            case j.Erred() | j.TimedOut():
                view.next_retry_ms = item.at_ms + backoff_ms(workflow_id, view.id, used, backoff_s, backoff_max_s)
