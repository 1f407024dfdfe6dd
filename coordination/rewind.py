"""Whether the server still holds what a host has seen of a workflow.

A server that was emptied, restored from an older copy, or lost its last writes in a failover knows less than the
processes that used it. What they saw beyond that has not happened: a host that notices drops what it has in memory
and replays what is left. Steps that were done are then done again, under the same idempotency keys.
"""

from __future__ import annotations

import asyncio

from coordination import journal as j
from coordination.connection import Connection
from coordination.errors import JournalRewound, LostOwnership, WorkflowCodeChanged, WorkflowGone
from coordination.leases import Lease


async def read_after(connection: Connection, workflow_id: str, epoch: int, seq: int, at_ms: int) -> list[j.Numbered]:
    """The journal entries after a number, if the server stands where this writer does.

    Args:
        connection: To the server.
        workflow_id: The workflow.
        epoch: The writer's.
        seq: The last entry it has seen, 0 for none.
        at_ms: When that one was written: what is lost may be followed by another of the same number.

    Raises:
        WorkflowGone: The workflow is no longer in Redis.
        LostOwnership: Another epoch writes it, be it an older one.
        JournalRewound: Entries that were seen are not there any more.
    """
    keys = connection.keys
    place, raw = await asyncio.gather(
        connection.call("HMGET", keys.workflow(workflow_id), "epoch", "seq"),
        connection.call("XRANGE", keys.journal(workflow_id), f"{max(seq, 1)}-0", "+"),
    )
    if place[0] is None:
        raise WorkflowGone(f"Workflow {workflow_id} is no longer in Redis.")
    if int(place[0]) != epoch:
        raise LostOwnership(f"Workflow {workflow_id} is written under epoch {int(place[0])}, not {epoch}.")
    entries = j.parse(raw)
    is_another = bool(entries) and entries[0].seq == seq and entries[0].at_ms != at_ms
    if int(place[1]) < seq or is_another:
        raise JournalRewound(f"The journal of {workflow_id} has lost entry {seq}: replaying what is left.")
    return [item for item in entries if item.seq > seq]


def missing(lease: Lease) -> WorkflowCodeChanged | None:
    """What people are told of a workflow whose journal has been deleted in whole or in part; None when it is whole."""
    lost = int(lease.fields.get("seq", b"0")) - len(lease.entries)
    return torn(lease.workflow_id, lost) if lost else None


def torn(workflow_id: str, lost: int) -> WorkflowCodeChanged:
    """The error of a journal that lacks entries."""
    return WorkflowCodeChanged(
        f"The journal of {workflow_id} lacks {lost} of its entries: somebody deleted them, so it cannot be replayed. "
        "Restore the server's data and retry, or end the workflow and submit it anew."
    )


async def last_seq(connection: Connection, workflow_id: str, entries: list[j.Numbered]) -> int:
    """The number of a workflow's last entry, also when its journal has been deleted."""
    if entries:
        return entries[-1].seq
    return int(await connection.call("HGET", connection.keys.workflow(workflow_id), "seq") or 0)
