"""What must be left in Redis after a run: nothing pending, nothing queued, no key that does not expire."""

from __future__ import annotations

import asyncio
import time

from redis.exceptions import ResponseError

from coordination.connection import Connection
from coordination.errors import TryAgain
from coordination.keys import AGENTS_GROUP, COORDINATORS_GROUP, PRIORITIES, RELAY_GROUP

_QUIET_S = 20.0  # for the last acknowledgements, parents' confirmations, and what the relay lets go
_TYPES = ("chaos_work", "chaos_huge")
_OWN_KEYS = (b"workflow:", b"escalation:", b"coordinator_result:", b"inbox:")


async def check_server(connection: Connection) -> list[str]:
    """What is left that should not be, once it no longer becomes less."""
    deadline = time.monotonic() + _QUIET_S
    while True:
        try:
            broken = [*await _streams(connection), *await _keys(connection)]
        except TryAgain as error:
            broken = [str(error)]
        if not broken or time.monotonic() > deadline:
            return broken
        await asyncio.sleep(0.5)


def groups(connection: Connection) -> list[tuple[str, str]]:
    """Every stream that has a group, with the group."""
    keys = connection.keys
    found = [(keys.host_events, RELAY_GROUP)]
    for shard in range(keys.shards):
        found += [(keys.workflows(shard), COORDINATORS_GROUP), (keys.resumes(shard), COORDINATORS_GROUP)]
        found.append((keys.events(shard), RELAY_GROUP))
    return found + [(keys.agent_queue(name, priority), AGENTS_GROUP) for name in _TYPES for priority in PRIORITIES]


async def depths(connection: Connection) -> dict[str, tuple[int, int, int]]:
    """Of each stream with a group: entries, of them pending, and consumers."""
    found = {}
    for stream, group in groups(connection):
        try:
            length = await connection.call("XLEN", stream)
            said = await connection.call("XINFO", "GROUPS", stream)
        except ResponseError:  # nobody has used it yet
            continue
        for raw in said:
            about = dict(zip(raw[::2], raw[1::2], strict=True))
            if about[b"name"].decode() == group:
                found[stream] = (int(length), int(about[b"pending"]), int(about[b"consumers"]))
    return found


async def _streams(connection: Connection) -> list[str]:
    keys, broken = connection.keys, []
    for stream, (length, pending, _) in (await depths(connection)).items():
        if pending or length:
            broken.append(f"{stream}: {pending} pending, {length} entries left")
    for shard in range(keys.shards):
        living = ("ZCOUNT", keys.deadlines(shard), "-inf", "(+inf")
        for kind, index, *more in (living, ("XLEN", keys.escalation_queue(shard))):
            if left := await connection.call(kind, index, *more):
                broken.append(f"{index}: {left} left")
    return broken


async def _keys(connection: Connection) -> list[str]:
    cursor, leaked = b"0", []
    while True:
        cursor, found = await connection.call("SCAN", cursor, "COUNT", 1000)
        own = [key for key in found if key.startswith(_OWN_KEYS)]
        lives = await asyncio.gather(*(connection.call("TTL", key) for key in own))
        leaked += [key for key, ttl_s in zip(own, lives, strict=True) if ttl_s == -1]
        if cursor == b"0":
            return [f"{len(leaked)} keys never expire: {leaked[:3]}"] if leaked else []
