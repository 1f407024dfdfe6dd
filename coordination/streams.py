"""Streams beside the shards: inboxes that wake hosts and clients, groups that exist."""

from __future__ import annotations

import asyncio

from redis.exceptions import ResponseError

from coordination.connection import Connection

INBOX_LENGTH = 50_000  # entries; older ones are dropped, which costs latency only
INBOX_BYTES = 8_192  # a larger entry is not sent along; the host reads it from the journal


async def wake(
    connection: Connection, incarnation: str, workflow_id: str, seq: int = 0, at_ms: int = 0, blob: bytes = b""
) -> None:
    """Tell a host that a workflow's journal grew; losing this costs latency, never correctness.

    Args:
        connection: To the server.
        incarnation: The host, or a waiting client; "" is nobody.
        workflow_id: The workflow.
        seq: Number of the new entry, 0 when the journal is to be read.
        at_ms: Its time.
        blob: The entry itself, when it is small.
    """
    if not incarnation:
        return
    command: list[object] = ["XADD", connection.keys.inbox(incarnation), "MAXLEN", "~", INBOX_LENGTH, "*"]
    command += ["w", workflow_id]
    if blob and len(blob) <= INBOX_BYTES:
        command += ["q", seq, "t", at_ms, "e", blob]
    await connection.call(*command)


async def ensure_group(connection: Connection, stream: str, group: str) -> bool:
    """Make the group exist, from the stream's beginning, so that nothing added before is lost; True when it did not."""
    try:
        await connection.call("XGROUP", "CREATE", stream, group, "0", "MKSTREAM")
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
        return False
    return True


async def ensure_groups(connection: Connection, streams: list[str], group: str) -> list[str]:
    """Make one group exist on many streams; gives those that did not have it."""
    made = await asyncio.gather(*(ensure_group(connection, stream, group) for stream in streams))
    return [stream for stream, is_new in zip(streams, made, strict=True) if is_new]


def no_group(error: ResponseError) -> bool:
    """Whether a read failed because the stream or its group has vanished."""
    return str(error).startswith(("NOGROUP", "UNBLOCKED"))
