"""Restarts from a step: what is kept, what begins anew, and the entry that says so.

A restart is one journal entry, written after the whole journal was read: it names the first entry
that counts no more. Steps that began before it keep all that is written of them, whenever it came;
the others are forgotten. Whoever takes the workflow up replays what counts, so a restart is a
takeover by construction.

Invariant: what is kept never depends on what is forgotten, because a step is asked for only after
all that it depends on.
"""

from __future__ import annotations

from typing import Any

import msgspec

from coordination import history
from coordination import journal as j
from coordination.connection import Connection
from coordination.domain import FINAL_STATES, StepKind, StepView
from coordination.errors import BadRequest, TryAgain, WorkflowFinished, WorkflowNotFound
from coordination.leases import to_fields
from coordination.scripts import FINISHED, GONE, REFUSED
from coordination.streams import wake
from coordination.submission import FIRST_LOOK_MS

_TRIES = 50  # a journal that grows between reading and writing is read again


class RestartStep(msgspec.Struct, omit_defaults=True):
    """A step as a restart would treat it."""

    id: str
    name: str
    kind: StepKind
    state: str
    has_run: bool = False  # an agent had it, or it had its effect: running it again may repeat that
    child_id: str = ""
    escalation_id: str = ""  # open now, and withdrawn by the restart


class RestartPreview(msgspec.Struct, omit_defaults=True):
    """What a restart from a step would keep, and what would run again."""

    workflow_id: str
    step: str
    generation: int = 0  # that would begin; 0 for a workflow of its own
    new_workflow: bool = False  # it has ended: a new workflow begins with what is kept
    kept: list[RestartStep] = []
    again: list[RestartStep] = []
    refused: str = ""  # why it cannot be done, "" when it can


class Plan(msgspec.Struct, frozen=True):
    """A restart, worked out from a journal."""

    first: int
    generation: int
    again: list[str]
    closing: list[str]
    orphans: list[str]


def plan(entries: list[j.Numbered], step: str) -> Plan:
    """Work out a restart.

    Raises:
        BadRequest: There is no such step, or it stands before compensations that have begun.
    """
    account = j.Account(entries)
    first = account.began.get(step, 0)
    if not first:
        raise BadRequest(f"There is no step {step!r} to restart from.")
    again = account.since(first)
    forgotten = set(again)
    concerned = [
        item
        for item in entries
        if item.seq not in account.gone and item.seq >= first and getattr(item.entry, "step", "") in forgotten
    ]
    undoes = next((item for item in concerned if isinstance(item.entry, j.Attempt) and item.entry.undoes), None)
    if undoes is not None and undoes.seq > first:
        raise BadRequest(
            f"run() failed after step {step}, and compensations have begun to undo what was done before: "
            "nothing before them can be kept. Rerun the whole workflow."
        )
    open_now = j.open_escalations(item for item in entries if item.seq not in account.gone)
    closing = [identity for identity, about in open_now.items() if about in forgotten or not about]
    return Plan(first, account.generation + 1, again, closing, j.open_children(concerned))


def preview(
    workflow_id: str, step: str, entries: list[j.Numbered], views: list[StepView], state: str
) -> RestartPreview:
    """Say what a restart would keep, and what would run again, without doing it."""
    has_ended = state in FINAL_STATES
    shown = RestartPreview(workflow_id, step, new_workflow=has_ended)
    try:
        planned = plan(entries, step)
        if has_ended:
            prefix(entries, step)
    except BadRequest as error:
        shown.refused = str(error)
        return shown
    shown.generation = 0 if has_ended else planned.generation
    forgotten = set(planned.again)
    for view in views:
        into = shown.again if view.id in forgotten or (has_ended and not view.finished_ms) else shown.kept
        into.append(_shown(view, planned))
    return shown


def _shown(view: StepView, planned: Plan) -> RestartStep:
    closing = view.escalation_id if view.escalation_id in planned.closing else ""
    return RestartStep(view.id, view.name, view.kind, view.state, has_run(view), view.child_id, closing)


def has_run(view: StepView) -> bool:
    """Whether a step may have had an effect already."""
    if view.kind is StepKind.TASK:
        return any(attempt.started_ms or attempt.error for attempt in view.attempts)
    return view.kind in (StepKind.RECORD, StepKind.CHILD)


async def restart(
    connection: Connection, workflow_id: str, step: str, actor: str, reason: str = "", request_id: str = ""
) -> int:
    """Let a live workflow begin anew from a step, once for each request; gives its generation.

    Raises:
        BadRequest: It cannot be done, in words.
        WorkflowNotFound: Redis does not hold it.
        WorkflowFinished: It has ended.
        TryAgain: Its journal grows too fast; pause it first.
    """
    for _ in range(_TRIES):
        entries = await read(connection, workflow_id)
        if request_id and (before := _carried_out(entries, request_id)):
            return before
        planned = plan(entries, step)
        entry = j.Restarted(
            step, planned.generation, planned.first, actor, reason, request_id, planned.closing, planned.orphans
        )
        answer = await _interrupt(connection, workflow_id, entry, entries, planned.again)
        match answer:
            case 1:
                return planned.generation
            case code if code == REFUSED:
                raise BadRequest(
                    f"Workflow {workflow_id} is being cancelled. Rerun it, or restart it when it has ended."
                )
            case code if code == GONE:
                raise WorkflowNotFound(f"No workflow {workflow_id} is in Redis.")
            case code if code == FINISHED:
                raise WorkflowFinished(f"Workflow {workflow_id} has already ended.")
    raise TryAgain(f"The journal of {workflow_id} grows too fast to restart it now. Pause it, then restart it.")


def _carried_out(entries: list[j.Numbered], request_id: str) -> int:
    restarts = (item.entry for item in entries if isinstance(item.entry, j.Restarted))
    return next((entry.generation for entry in restarts if entry.request_id == request_id), 0)


async def carry_out(connection: Connection, workflow_id: str, decided: j.Decided) -> None:
    """Restart as an escalation's decision asks for; one that cannot be done any more changes nothing, once."""
    wanted = msgspec.json.decode(decided.value or b"{}", type=dict[str, str])
    try:
        await restart(connection, workflow_id, wanted.get("step", ""), decided.actor, "", decided.decision_id)
    except BadRequest:
        entries = await read(connection, workflow_id)
        past = entries[-1].seq + 1
        entry = j.Restarted("", j.Account(entries).generation, past, decided.actor, "", decided.decision_id)
        await _interrupt(connection, workflow_id, entry, entries, [], begins=False)


async def read(connection: Connection, workflow_id: str) -> list[j.Numbered]:
    """A workflow's whole journal."""
    return j.parse(await connection.call("XRANGE", connection.keys.journal(workflow_id), "-", "+"))


async def _interrupt(
    connection: Connection,
    workflow_id: str,
    entry: j.Restarted,
    entries: list[j.Numbered],
    tasks: list[str],
    begins: bool = True,
) -> int:
    last = entries[-1].seq if entries else 0
    generation: Any = entry.generation if begins else ""
    dedupe = f"g:{entry.request_id or f'restart:{entry.generation}'}"
    return await interrupt(connection, workflow_id, dedupe, entry, [last, False, generation, *tasks])


async def interrupt(connection: Connection, workflow_id: str, dedupe: str, entry: j.AnyEntry, about: list[Any]) -> int:
    """Put an entry into a workflow's journal after which it is taken up anew; gives the script's answer.

    Args:
        connection: To the server.
        workflow_id: The workflow.
        dedupe: Field that marks this entry as accepted.
        entry: The entry.
        about: Last entry read or "", whether it ends a pause, generation that begins or "", steps to withdraw …
    """
    keys, shard = connection.keys, connection.keys.shard(workflow_id)
    seq, ends_pause, *rest = about
    answer = await connection.script(
        "interrupt",
        [keys.workflow(workflow_id), keys.journal(workflow_id), keys.workflows(shard), keys.resumes(shard),
         keys.deadlines(shard), keys.events(shard)],
        [workflow_id, dedupe, j.encode(entry), seq, int(connection.config.look_s * 1000), int(ends_pause), *rest],
    )  # fmt: skip
    if answer[0] == 1:
        await wake(connection, answer[1].decode(), workflow_id)
    return int(answer[0])


# --- a workflow that has ended ------------------------------------------------------------

_NOT_KEPT = (
    j.CancelRequested, j.TakenUp, j.Paused, j.Resumed, j.Terminated, j.Restarted, j.Finished, j.RetryNow,
)  # fmt: skip


def prefix(entries: list[j.Numbered], step: str) -> list[j.AnyEntry]:
    """The entries that a new workflow begins with: those of steps asked for before this one that have ended.

    Raises:
        BadRequest: There is no such step, or what came before it was undone or cancelled.
    """
    planned = plan(entries, step)
    cancelled = next((item.seq for item in entries if isinstance(item.entry, j.CancelRequested)), 0)
    if 0 < cancelled < planned.first:
        raise BadRequest(f"Step {step} was asked for after the cancellation: choose one before it, or rerun.")
    kept = j.Account(entries)
    dropped = {*planned.again, *(view.id for view in history.steps(entries) if not view.finished_ms)}
    found: list[j.AnyEntry] = []
    for item in entries:
        about = getattr(item.entry, "step", None)
        if item.seq in kept.gone or isinstance(item.entry, _NOT_KEPT) or about == "" or about in dropped:
            continue
        found.append(item.entry)
    return found


class Ended(msgspec.Struct, frozen=True):
    """A workflow that has ended, as Redis or the history holds it."""

    id: str
    type: str
    version: int
    input: bytes  # JSON
    began_ms: int  # run() saw this time first
    labels: dict[str, str]
    entries: list[j.Numbered]


async def read_ended(connection: Connection, workflow_id: str) -> Ended | None:
    """An ended workflow while Redis holds all of it; None when it lives, never was, or has left for the history."""
    fields = to_fields(await connection.call("HGETALL", connection.keys.workflow(workflow_id)))
    if fields.get("state", b"").decode() not in FINAL_STATES or "input" not in fields:
        return None
    began_ms = int(fields.get("began") or fields["created"])
    labels = msgspec.json.decode(fields.get("labels", b"{}"), type=dict[str, str])
    kind, version, entries = fields["type"].decode(), int(fields["version"]), await read(connection, workflow_id)
    return Ended(workflow_id, kind, version, fields["input"], began_ms, labels, entries)


async def restore(connection: Connection, ended: Ended, step: str, new_id: str) -> bool:
    """Accept a new workflow that begins with what an ended one keeps; False when it was accepted before.

    Raises:
        BadRequest: It cannot be done, in words.
    """
    kept = prefix(ended.entries, step)
    keys, shard = connection.keys, connection.keys.shard(new_id)
    labels = {**ended.labels, "restarted_from": ended.id, "restarted_step": step}
    answer = await connection.script(
        "restore",
        [keys.workflow(new_id), keys.journal(new_id), keys.workflows(shard), keys.deadlines(shard), keys.events(shard)],
        [new_id, ended.type, ended.version, ended.input, FIRST_LOOK_MS, msgspec.json.encode(labels), ended.began_ms,
         *map(j.encode, kept)],
    )  # fmt: skip
    return bool(answer[0] == 1)
