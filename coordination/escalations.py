"""Handing a step over to people: each escalation is opened once, together with the workflow's state."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from coordination import catalog
from coordination import journal as j
from coordination.domain import ErrorInfo, Reason
from coordination.errors import ProgramError
from coordination.keys import escalation_id
from coordination.leases import check
from coordination.scripts import DUPLICATE, UNREAD
from coordination.task_run import TaskRun, describe

if TYPE_CHECKING:
    from coordination.calls import HumanCall
    from coordination.execution import Execution
    from coordination.host import Host

PROGRAM = "program"  # stands for the step in the id of an escalation about run() itself


@functools.lru_cache(maxsize=1024)
def schema_of(kind: Any) -> bytes:
    """A type's JSON Schema, or nothing when it says nothing or cannot be described."""
    if kind is None or kind is Any:
        return b""
    try:
        return msgspec.json.encode(msgspec.json.schema(kind))
    except TypeError:
        return b""


async def open_task(
    host: Host, execution: Execution, step: str, run: TaskRun, reason: str = "", errors: list[ErrorInfo] | None = None
) -> None:
    """Hand a task over whose attempts are used up, or that nothing can be done about."""
    call, known = run.call, catalog.task_type(run.call.task_type)
    reason = reason or run.reason
    identity = escalation_id(execution.workflow_id, step, run.escalations + 1, run.generation)
    found = run.errors if errors is None else errors
    registered = host.registry.schemas(call.task_type)
    opened = await _open(
        host,
        execution,
        step,
        identity,
        j.Escalated(step, identity, reason),
        ["task_type", call.task_type, "reason", reason, "attempts", run.number, "input", run.payload,
         "errors", msgspec.json.encode(found),
         "input_schema", (known and schema_of(known.input_type)) or _registered(registered, "input"),
         "output_schema", schema_of(call.returns) or _registered(registered, "output")],
        record=f"{run.generation}:{run.number}:x:0:0:0:",
    )  # fmt: skip
    if not opened:
        execution.machine.dirty[step] = run  # unless what is read settles it, it is asked again


async def open_no_agent(host: Host, execution: Execution, step: str, run: TaskRun, why: str) -> None:
    """Hand a task over that no agent takes."""
    await open_task(
        host, execution, step, run, Reason.NO_CAPABLE_AGENT, [*run.errors, ErrorInfo("NoCapableAgent", why, False)]
    )


async def open_question(host: Host, execution: Execution, call: HumanCall, number: int = 1, why: str = "") -> None:
    """Ask the question that run() asks."""
    identity = escalation_id(execution.workflow_id, call.id, number, execution.machine.generation)
    schema = msgspec.json.encode(call.schema) if call.schema else b""
    entry = j.Escalated(call.id, identity, Reason.HUMAN_INPUT_REQUESTED, call.label, call.context)
    fields = ["task_type", call.label, "reason", Reason.HUMAN_INPUT_REQUESTED, "question", call.question,
              "input", call.context or b"", "output_schema", schema]  # fmt: skip
    if why:
        fields += ["errors", msgspec.json.encode([ErrorInfo("InvalidAnswer", why, False)])]
    await _open(host, execution, call.id, identity, entry, fields)


async def reopen_question(host: Host, execution: Execution, step: str, why: str) -> None:
    """Ask a question again whose answer was none."""
    machine = execution.machine
    call = machine.question(step)
    if call is not None:
        await open_question(host, execution, call, machine.asked[step] + 1, why)


async def open_program(host: Host, execution: Execution, number: int, error: ProgramError) -> None:
    """Ask people about a run() that does not fit its journal, or ends its host."""
    identity = escalation_id(execution.workflow_id, PROGRAM, number)
    reason = Reason(error.code)
    entry = j.Escalated("", identity, reason)
    fields = ["task_type", "run()", "reason", reason, "question", str(error),
              "errors", msgspec.json.encode([describe(error)])]  # fmt: skip
    await _open(host, execution, "", identity, entry, fields)


async def withdraw(host: Host, execution: Execution, identity: str) -> None:
    """Close an escalation that its workflow no longer waits for; nothing happens to one that is not open."""
    keys, shard = host.connection.keys, host.connection.keys.shard(execution.workflow_id)
    answer = await host.connection.script(
        "withdraw",
        [keys.workflow(execution.workflow_id), keys.escalation(identity), keys.escalation_queue(shard),
         keys.events(shard)],
        [execution.workflow_id, identity, execution.epoch],
    )  # fmt: skip
    check(answer, execution.workflow_id)


def _registered(schemas: dict[str, Any] | None, side: str) -> bytes:
    schema = (schemas or {}).get(side)
    return msgspec.json.encode(schema) if schema else b""


async def _open(
    host: Host,
    execution: Execution,
    step: str,
    identity: str,
    entry: j.Escalated,
    fields: list[Any],
    record: str = "",
) -> bool:
    """Open one; False: the task is settled, perhaps by what has not been read."""
    keys, workflow_id = host.connection.keys, execution.workflow_id
    shard = keys.shard(workflow_id)
    answer = await host.connection.script(
        "escalate",
        [keys.workflow(workflow_id), keys.journal(workflow_id), keys.escalation(identity), keys.escalation_queue(shard),
         keys.events(shard)],
        [workflow_id, execution.epoch, identity, j.encode(entry), f"t:{step}" if record else "", record, execution.seq,
         "workflow", workflow_id, "type", execution.type_name, "step", step, *fields],
    )  # fmt: skip
    check(answer[0], workflow_id)
    if answer[0] in (DUPLICATE, UNREAD):
        execution.reread()
    else:
        execution.written(answer[0], answer[1], entry)
    return bool(answer[0] != UNREAD)
