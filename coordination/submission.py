"""Accepting a workflow: exactly once for each id, or refused with a reason."""

from __future__ import annotations

import msgspec

from coordination import catalog
from coordination.connection import Connection
from coordination.errors import AdmissionRefused, InvalidPayload, WriteRefused
from coordination.refusals import OUT_OF_MEMORY
from coordination.scripts import DUPLICATE, REFUSED

MOST_DEADLINE_S = 315_360_000  # ten years
FIRST_LOOK_MS = 3_600_000  # a workflow in the backlog is looked after once an hour


class Submission(msgspec.Struct, frozen=True):
    """A workflow that is to be accepted."""

    workflow_id: str
    type_name: str
    payload: bytes  # JSON
    key: str = ""
    parent: str = ""  # "<id> <step>" of a parent that waits
    child: bool = False
    deadline_s: float | None = None
    labels: dict[str, str] | None = None
    waiter: str = ""  # inbox of a client that waits for the end


async def submit(connection: Connection, wanted: Submission) -> bool:
    """Accept a workflow; False when its id was accepted before.

    Raises:
        UnknownWorkflowType: Nothing installed here defines it.
        InvalidPayload: The deadline is none.
        AdmissionRefused: The backlog or the server's memory is full; says when to try again.
    """
    definition = catalog.newest(wanted.type_name)
    config, keys = connection.config, connection.keys
    shard = keys.shard(wanted.workflow_id)
    deadline_s = wanted.deadline_s if wanted.deadline_s is not None else definition.deadline_s
    if deadline_s is not None and not 0 <= deadline_s <= MOST_DEADLINE_S:
        raise InvalidPayload(f"A deadline is 0 (none) to {MOST_DEADLINE_S:,} seconds from now, not {deadline_s:,.0f}.")
    fields: list[str | bytes] = []
    for name, value in (("key", wanted.key), ("parent", wanted.parent)):
        if value:
            fields += [name, value]
    if wanted.labels:
        fields += ["labels", msgspec.json.encode(wanted.labels)]
    most = 0 if wanted.child else max(1, config.backlog // keys.shards)
    try:
        answer = await connection.script(
            "submit",
            [keys.workflow(wanted.workflow_id), keys.workflows(shard), keys.deadlines(shard), keys.events(shard)],
            [wanted.workflow_id, definition.type_name, definition.version, wanted.payload, most, FIRST_LOOK_MS,
             int((deadline_s or 0) * 1000), wanted.waiter, *fields],
        )  # fmt: skip
    except WriteRefused as error:
        if error.reason != OUT_OF_MEMORY or wanted.child:  # a child belongs to work that is accepted already
            raise
        raise AdmissionRefused(
            "Redis has used up its memory; new workflows wait until some have finished, or until maxmemory is raised.",
            retry_after_s=error.retry_after_s,
        ) from None
    if answer[0] == REFUSED:
        raise AdmissionRefused(
            f"{answer[1]:,} workflows are waiting in this shard, more than GANGLION_BACKLOG allows. Try again later.",
            retry_after_s=5.0,
        )
    return bool(answer[0] != DUPLICATE)
