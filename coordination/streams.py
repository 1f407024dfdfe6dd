"""Streams beside the shards: inboxes that wake hosts and clients, groups that exist."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import ResponseError

from coordination.connection import Connection
from coordination.keys import AGENTS_GROUP

INBOX_LENGTH = 50_000  # entries; older ones are dropped, which costs latency only
INBOX_TTL_S = 120  # of a host's, after its last description of itself
CLIENT_INBOX_TTL_S = 600  # after the last news; whoever gave up waiting leaves none behind for longer
INBOX_BYTES = 8_192  # a larger entry is not sent along; the host reads it from the journal
_PACE_S = 0.005  # between two reads at most, while much comes
_SHARE_S = 0.00005  # of that pause, for each workflow that is held


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
    if incarnation:
        told = connection.call(*_wake_up(connection, incarnation, workflow_id, seq, at_ms, blob))
        expire_inbox(connection, incarnation)
        await told


def wake_soon(
    connection: Connection, incarnation: str, workflow_id: str, seq: int = 0, at_ms: int = 0, blob: bytes = b""
) -> None:
    """As ``wake``, without waiting for the server's answer, which the sender would not act on."""
    if incarnation:
        sent = connection.call(*_wake_up(connection, incarnation, workflow_id, seq, at_ms, blob))
        sent.add_done_callback(ignore)


def tell_end(connection: Connection, client: str, workflow_id: str, result: bytes) -> None:
    """As ``wake_soon`` a client that waits for a workflow's end, with the result when it has one that is small."""
    carried = ["r", result] if result and len(result) <= INBOX_BYTES else []
    connection.call(*_entry(connection, client, workflow_id), *carried).add_done_callback(ignore)
    expire_inbox(connection, client, CLIENT_INBOX_TTL_S)


def expire_inbox(connection: Connection, incarnation: str, ttl_s: int = INBOX_TTL_S) -> None:
    """Give an inbox an end if it has none: a wake-up makes it anew for one who has died or left."""
    connection.call("EXPIRE", connection.keys.inbox(incarnation), ttl_s, "NX").add_done_callback(ignore)


def _wake_up(
    connection: Connection, incarnation: str, workflow_id: str, seq: int, at_ms: int, blob: bytes
) -> list[object]:
    command = _entry(connection, incarnation, workflow_id)
    if blob and len(blob) <= INBOX_BYTES:
        command += ["q", seq, "t", at_ms, "e", blob]
    return command


def _entry(connection: Connection, incarnation: str, workflow_id: str) -> list[object]:
    return ["XADD", connection.keys.inbox(incarnation), "MAXLEN", "~", INBOX_LENGTH, "*", "w", workflow_id]


def inbox_arguments(connection: Connection, carried: bytes) -> list[Any]:
    """What a script takes that may wake others itself: where their inboxes are, and how long these may grow.

    Args:
        connection: To the server.
        carried: What the wake-up brings along; one that is too large is left to the caller, as all are on a cluster.
    """
    small = len(carried) <= INBOX_BYTES
    return [connection.keys.inboxes, INBOX_LENGTH] if connection.one_server and small else ["", 0]


def pace_s(came: int, held: int) -> float:
    """How long to let more come before the next read, which costs the server as much for one entry as for many.

    What comes alone is followed at once; the pause grows with what is held, as the time of each turn does.

    Args:
        came: Entries in the read before.
        held: Workflows that the reader has in memory, or waits for.
    """
    return min(_PACE_S, _SHARE_S * held) if came > 1 else 0.0


def ignore(future: asyncio.Future[Any]) -> None:
    """Retrieve what nobody waits for; the next call will meet the same trouble."""
    if not future.cancelled():
        future.exception()


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


async def consumers(connection: Connection, stream: str, group: str) -> list[str]:
    """Everybody who has read a stream as one of a group; nobody when either is gone."""
    try:
        found = await connection.call("XINFO", "CONSUMERS", stream, group)
    except ResponseError:
        return []
    return [dict(zip(raw[::2], raw[1::2], strict=True))[b"name"].decode() for raw in found]


def no_group(error: ResponseError) -> bool:
    """Whether a read failed because the stream or its group has vanished."""
    return str(error).startswith(("NOGROUP", "UNBLOCKED"))


async def depth(connection: Connection, stream: str) -> tuple[int, int, int]:
    """A queue's entries, of them delivered, and the age in ms of the oldest that is not; zeros when it is gone."""
    answers: Any = await asyncio.gather(
        connection.call("XLEN", stream),
        connection.call("XINFO", "GROUPS", stream),
        connection.call("TIME"),
        return_exceptions=True,
    )
    length, groups, clock = answers
    if isinstance(length, BaseException) or isinstance(clock, BaseException) or not length:
        return 0, 0, 0
    held, last = 0, b"0-0"
    if not isinstance(groups, BaseException):
        for raw in groups:
            group = dict(zip(raw[::2], raw[1::2], strict=True))
            if group[b"name"].decode() == AGENTS_GROUP:
                held, last = group[b"pending"], group[b"last-delivered-id"]
    first = await connection.call("XRANGE", stream, b"(" + last, "+", "COUNT", 1)
    if not first:
        return length, held, 0
    return length, held, max(0, int(clock[0]) * 1000 - int(first[0][0].partition(b"-")[0]))
