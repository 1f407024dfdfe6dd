"""The task steps of a workflow: attempts, results, failures and retries, as its journal tells them.

Invariant 7: attempts are bounded, then people are asked once.
"""

from __future__ import annotations

import msgspec

from coordination import journal as j
from coordination.backoff import backoff_ms
from coordination.calls import Call, TaskCall
from coordination.coordinator import DistributedCoordinator
from coordination.domain import ErrorInfo
from coordination.program import Program
from coordination.task_run import TaskRun


class TaskSteps:
    """The part of a machine that deals with tasks."""

    runs: dict[str, TaskRun]
    unsettled: dict[str, TaskRun]
    dirty: dict[str, TaskRun]
    withdrawn: list[str]
    _coordinator: DistributedCoordinator
    _program: Program
    _backoff: tuple[float, float]

    def _issued(self, step: str, entry: j.AnyEntry) -> Call:
        raise NotImplementedError

    def _finish(self, step: str, value: object = None, error: BaseException | None = None) -> None:
        raise NotImplementedError

    def _end_run(self, step: str, run: TaskRun) -> None:
        """Nothing more comes of a task step."""
        run.state = "done"
        self.unsettled.pop(step, None)
        self.dirty.pop(step, None)

    def _attempt(self, entry: j.Attempt, at_ms: int) -> None:
        run = self.runs.get(entry.step)
        if run is None:
            call = self._issued(entry.step, entry)
            assert isinstance(call, TaskCall)
            run = self.runs[entry.step] = self.unsettled[entry.step] = TaskRun(call)
        elif entry.number == run.number:  # written twice, after a reply was lost
            return
        elif entry.payload is not None:
            run.payload = entry.payload
        run.number, run.round, run.generation = entry.number, entry.round, entry.generation
        run.used += 1
        run.since_ms = at_ms
        if entry.step not in self._program.waiting and run.state != "done":
            self._end_run(entry.step, run)  # cancelled while it was being written
            self.withdrawn.append(entry.step)
        if run.state != "done":
            run.state = "queued"
            self.dirty[entry.step] = run

    def _settled(self, entry: j.Settled, at_ms: int) -> None:
        run = self.runs.get(entry.step)
        if run is None or run.state == "done":
            return
        self._supply(entry.step, run, entry.value)

    def _supply(self, step: str, run: TaskRun, raw: bytes | None) -> None:
        try:
            value = run.call.decode(raw)
        except msgspec.MsgspecError as error:
            run.errors.append(
                ErrorInfo("InvalidResult", f"The result of {run.call.task_type} does not fit: {error}.", False)
            )
            self._exhaust(step, run, "final_error")
            return
        self._end_run(step, run)
        self._finish(step, value)

    def _exhaust(self, step: str, run: TaskRun, reason: str) -> None:
        run.state, run.reason = "exhausted", reason
        self.dirty[step] = run

    def _failed(self, step: str, run: TaskRun, error: ErrorInfo, at_ms: int, retry_after_s: float | None) -> None:
        run.errors = [*run.errors[-9:], error]
        if not error.retryable:
            self._exhaust(step, run, "final_error")
        elif run.used > run.retries:
            self._exhaust(step, run, "max_retries_exceeded")
        else:
            delay = backoff_ms(self._coordinator.workflow_id, step, run.used, *self._backoff)
            if retry_after_s is not None:
                delay = int(min(max(retry_after_s, 0.0), self._backoff[1]) * 1000)
            run.state, run.due_ms = "backoff", at_ms + delay
            self.dirty[step] = run

    def _erred(self, entry: j.Erred, at_ms: int) -> None:
        run = self.runs.get(entry.step)
        if run is not None and run.state == "queued" and run.number == entry.number:
            self._failed(entry.step, run, entry.error, at_ms, entry.retry_after_s)

    def _timed_out(self, entry: j.TimedOut, at_ms: int) -> None:
        run = self.runs.get(entry.step)
        if run is not None and run.state == "queued" and run.number == entry.number:
            message = f"{entry.agent} did not finish attempt {entry.number} within {run.call.timeout_s:g} s."
            self._failed(entry.step, run, ErrorInfo("Timeout", message), at_ms, None)

    def _retry_now(self, entry: j.RetryNow, at_ms: int) -> None:
        run = self.runs.get(entry.step)
        if run is not None and run.state == "backoff":
            run.due_ms = at_ms
            self.dirty[entry.step] = run

    def _decided_task(self, entry: j.Decided, run: TaskRun, at_ms: int) -> None:
        if run.state == "done":
            return
        if entry.action in ("supply", "skip"):
            if entry.action == "skip" and entry.value in (None, b"null"):
                self._end_run(entry.step, run)
                self._finish(entry.step, None)
            else:
                self._supply(entry.step, run, entry.value)
            return
        run.requires, run.target = run.call.requires, ""
        if entry.action == "edit" and entry.value is not None:
            run.payload = entry.value
        elif entry.action == "reroute":
            run.reroute(entry.value)
        run.used, run.due_ms, run.state = 0, at_ms, "backoff"
        run.round += 1
        self.dirty[entry.step] = run
