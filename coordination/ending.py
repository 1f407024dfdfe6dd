"""How a workflow ends: its result or its error, and what it leaves open is withdrawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from coordination import journal as j
from coordination.domain import ErrorInfo, WorkflowState, said
from coordination.errors import StepFailed, WorkflowCancelled, WorkflowTerminated
from coordination.escalations import withdraw
from coordination.leases import accept
from coordination.task_run import describe

if TYPE_CHECKING:
    from coordination.execution import Execution
    from coordination.host import Host
    from coordination.machine import Machine

DEADLINE = "deadline"  # who cancels a workflow whose deadline has passed


async def finish(host: Host, execution: Execution) -> bool:
    """End a workflow whose run() has ended; False when its journal holds something unread."""
    machine = execution.machine
    state, info, result = _outcome(machine, host.config.payload_bytes)
    machine.closing += machine.open
    await tidy(host, execution)
    fields: list[Any] = ["steps_total", machine.steps_total, "steps_done", machine.steps_done, "retrying", 0]
    fields += withdrawn_records(machine) + execution.unsettled()
    entry = j.Finished(state, info)
    lease = execution.workflow_id, execution.epoch, execution.seq
    if not await host.leases.finish(*lease, entry, result, fields):
        execution.reread()
        return False
    host.finished += 1
    execution.abandon()
    return True


async def tidy(host: Host, execution: Execution) -> None:
    """Close the escalations and cancel the children that nobody waits for any more; may be repeated."""
    machine = execution.machine
    for identity in machine.closing:
        await withdraw(host, execution, identity)
        machine.open.pop(identity, None)
    machine.closing.clear()
    for child_id in machine.orphans:
        entry = j.CancelRequested(f"workflow {execution.workflow_id}", "Its parent was cancelled, or does without it.")
        await accept(host.connection, child_id, "cancelled", entry, "progressed", ends_pause=True)
    machine.orphans.clear()


def withdrawn_records(machine: Machine) -> list[Any]:
    """Fields that tell agents to stop the tasks which cancellation took away."""
    fields: list[Any] = []
    for step in machine.withdrawn:
        run = machine.runs[step]
        fields += [f"t:{step}", f"{run.generation}:{run.number}:x:0:0:0:"]
    return fields


def _outcome(machine: Machine, limit_bytes: int) -> tuple[WorkflowState, ErrorInfo | None, bytes]:
    value, error = machine.outcome
    if error is not None:
        return *_failure(machine, error), b""
    try:
        result = msgspec.json.encode(value)
    except Exception as failure:
        message = f"The result cannot be written as JSON: {said(failure)}."
        return WorkflowState.FAILED, ErrorInfo("InvalidPayload", message, False), b""
    if len(result) > limit_bytes:
        message = f"The result has {len(result):,} bytes; {limit_bytes:,} are allowed. Store it as a file."
        return WorkflowState.FAILED, ErrorInfo("PayloadTooLarge", message, False), b""
    return WorkflowState.COMPLETED, None, result


def _failure(machine: Machine, error: BaseException) -> tuple[WorkflowState, ErrorInfo]:
    cancelled = machine.cancelled
    if isinstance(error, WorkflowTerminated):
        return WorkflowState.CANCELLED, ErrorInfo("Terminated", said(error), False)
    if cancelled is not None and isinstance(error, WorkflowCancelled | StepFailed):
        if cancelled.actor == DEADLINE:
            return WorkflowState.FAILED, ErrorInfo("DeadlineExceeded", cancelled.reason, False)
        return WorkflowState.CANCELLED, ErrorInfo("Cancelled", said(error), False)
    return WorkflowState.FAILED, describe(error)
