"""Ownership of workflows: taking up, parking, handing over, ending, each in one fenced script.

The lease is per host (its heartbeat), the epoch per workflow: every write compares it, so what a
host believes about its lease can never harm.
"""

from __future__ import annotations

from typing import Any

import msgspec

from coordination import journal
from coordination.connection import Connection
from coordination.domain import ErrorInfo
from coordination.errors import LostOwnership, WorkflowGone
from coordination.scripts import FINISHED, GONE, HELD, STALE, UNREAD
from coordination.streams import CLIENT_INBOX_TTL_S, inbox_arguments, tell_end, wake


class Lease(msgspec.Struct, gc=False):
    """A workflow as a host got it: what it needs to replay, under its epoch."""

    workflow_id: str
    epoch: int
    now_ms: int
    fields: dict[str, bytes]
    entries: list[journal.Numbered]

    def claimed(self) -> set[str]:
        """Attempts that agents had claimed, as ``step:generation:number``: these stand in the agents' queues."""
        records = ((name[2:], value.decode().split(":", 3)) for name, value in self.fields.items() if name[:2] == "t:")
        return {f"{step}:{generation}:{number}" for step, (generation, number, state, _) in records if state == "c"}


def to_fields(flat: list[bytes]) -> dict[str, bytes]:
    """A hash as HGETALL gives it inside a script's answer."""
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def check(code: object, workflow_id: str) -> None:
    """Turn a script's refusal into an error.

    Raises:
        WorkflowGone: The workflow is no longer in Redis.
        LostOwnership: Another host writes under a higher epoch.
    """
    if code == GONE:
        raise WorkflowGone(f"Workflow {workflow_id} is no longer in Redis.")
    if code == STALE:
        raise LostOwnership(f"Another host has taken workflow {workflow_id} over.")


class Leases:
    """Takes up and gives away workflows for one host."""

    def __init__(self, connection: Connection, host: str) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._look_ms = int(connection.config.look_s * 1000)
        self.host = host

    async def claim(self, workflow_id: str, entry: str, previous: str = "") -> Lease | None:
        """Take a workflow up under the next epoch; None when there is nothing to take up.

        Args:
            workflow_id: The workflow.
            entry: "w" or "r" for the stream, and the entry's id there.
            previous: Its owner, when that is known to be dead.
        """
        answer = await self._claim(workflow_id, entry, previous)
        if answer[0] == HELD and answer[1]:  # its owner has this entry no more: another died while it took over
            owner = answer[1].decode()
            if await self._connection.call("HGET", self._keys.beats, owner) is None:
                answer = await self._claim(workflow_id, entry, owner)
        if answer[0] == FINISHED:
            fields = to_fields(answer[1])
            if b"parent" in answer[1]:
                await tell_parent(self._connection, workflow_id, fields)
            return None
        if answer[0] != 1:
            return None
        return Lease(workflow_id, answer[2], answer[1], to_fields(answer[3]), journal.parse(answer[4]))

    async def _claim(self, workflow_id: str, entry: str, previous: str) -> Any:
        keys, shard = self._keys, self._keys.shard(workflow_id)
        return await self._connection.script(
            "claim_workflow",
            [keys.workflow(workflow_id), keys.journal(workflow_id), keys.workflows(shard), keys.resumes(shard),
             keys.deadlines(shard), keys.events(shard), keys.seen(shard)],
            [workflow_id, self.host, entry, previous, self._look_ms],
        )  # fmt: skip

    async def park(self, workflow_id: str, epoch: int, seq: int, due_ms: int) -> bool:
        """Let a waiting workflow leave memory; False when its journal holds something unread."""
        keys, shard = self._keys, self._keys.shard(workflow_id)
        answer = await self._connection.script(
            "park",
            [keys.workflow(workflow_id), keys.workflows(shard), keys.resumes(shard), keys.deadlines(shard),
             keys.events(shard)],
            [workflow_id, epoch, seq, due_ms],
        )  # fmt: skip
        check(answer, workflow_id)
        return bool(answer != UNREAD)

    async def release(self, workflow_id: str, epoch: int, delay_ms: int = 0) -> None:
        """Hand a workflow over to whichever host takes it, at once or after a delay."""
        keys, shard = self._keys, self._keys.shard(workflow_id)
        answer = await self._connection.script(
            "release_workflow",
            [keys.workflow(workflow_id), keys.workflows(shard), keys.resumes(shard), keys.deadlines(shard)],
            [workflow_id, epoch, delay_ms],
        )
        check(answer, workflow_id)

    async def finish(
        self,
        workflow_id: str,
        epoch: int,
        seq: int,
        entry: journal.Finished,
        result: bytes,
        fields: list[Any],
    ) -> bool:
        """End a workflow and tell who waits for it; False when its journal holds something unread."""
        keys, shard = self._keys, self._keys.shard(workflow_id)
        error = msgspec.json.encode(entry.error) if entry.error else b""
        answer = await self._connection.script(
            "finish",
            [keys.workflow(workflow_id), keys.journal(workflow_id), keys.workflows(shard), keys.resumes(shard),
             keys.deadlines(shard), keys.events(shard), keys.seen(shard)],
            [workflow_id, epoch, seq, entry.state, result, error, journal.encode(entry),
             *inbox_arguments(self._connection, result), CLIENT_INBOX_TTL_S, *fields],
        )  # fmt: skip
        check(answer[0], workflow_id)
        if answer[0] == UNREAD:
            return False
        for client in answer[1].decode().split():
            tell_end(self._connection, client, workflow_id, result)
        if answer[2]:
            ended = {"state": entry.state.encode(), "result": result, "error": error, "parent": answer[2]}
            await tell_parent(self._connection, workflow_id, ended)
        return True


async def tell_parent(connection: Connection, child_id: str, fields: dict[str, bytes]) -> None:
    """Put a child's end into its parent's journal, then let the child be archived; may be repeated.

    Args:
        connection: To the server.
        child_id: The ended child.
        fields: Its state, result, error and parent ("<id> <step>").
    """
    if "parent" not in fields:
        return
    parent, _, step = fields["parent"].decode().partition(" ")
    error = fields.get("error")
    entry = journal.ChildEnded(
        step,
        child_id,
        fields["state"].decode(),
        fields.get("result") or None,
        msgspec.json.decode(error, type=ErrorInfo) if error else None,
    )
    await accept(connection, parent, f"g:child:{child_id}", entry, "progressed")
    keys, shard = connection.keys, connection.keys.shard(child_id)
    await connection.script(
        "confirm_child", [keys.workflow(child_id), keys.deadlines(shard), keys.events(shard)], [child_id]
    )


async def accept(
    connection: Connection, workflow_id: str, dedupe: str, entry: journal.Entry, kind: str, ends_pause: bool = False
) -> int:
    """Put input from outside into a workflow's journal once, and wake whoever runs it.

    Args:
        connection: To the server.
        workflow_id: The workflow.
        dedupe: Field that marks this input as accepted, or "".
        entry: The journal entry.
        kind: Event kind.
        ends_pause: A paused workflow goes on with it.

    Returns:
        1, or the script's refusal: GONE, FINISHED, DUPLICATE.
    """
    keys, shard = connection.keys, connection.keys.shard(workflow_id)
    blob = journal.encode(entry)
    answer = await connection.script(
        "accept",
        [keys.workflow(workflow_id), keys.journal(workflow_id), keys.resumes(shard), keys.deadlines(shard),
         keys.events(shard)],
        [workflow_id, dedupe, blob, kind, int(connection.config.look_s * 1000), int(ends_pause)],
    )  # fmt: skip
    if answer[0] == 1:
        await wake(connection, answer[1].decode(), workflow_id, answer[2], answer[3], blob)
    return int(answer[0])
