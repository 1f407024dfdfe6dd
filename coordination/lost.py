"""Notices that an agent queue or a deadline index was deleted, and fills it again from what is left.

Both are indexes of the truth, which stands in the workflows' hashes and journals. Streams of workflows need no such
look: their readers are told at once (``reading.py``).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import ResponseError

from coordination.domain import FINAL_STATES
from coordination.keys import PRIORITIES

if TYPE_CHECKING:
    from coordination.host import Host

log = structlog.get_logger(__name__)

KEPT = "!"  # a member of every deadline index that no workflow has: without it the index was deleted
_SCAN = 1_000  # keys in one look
_FINAL = {state.value.encode() for state in FINAL_STATES}


class Lost:
    """Looks after one host's queues, and after every shard's index."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._added: dict[str, int] = {}  # queue -> entries ever added to it; this only grows while it lives

    async def look(self) -> None:
        """One round."""
        await self._queues()
        await self._indexes()

    # --- agent queues ---------------------------------------------------------------------

    async def _queues(self) -> None:
        keys = self._host.connection.keys
        names = [
            (kind, keys.agent_queue(kind, priority)) for kind in self._host.writer.types for priority in PRIORITIES
        ]
        added = await asyncio.gather(*(self._entries_added(queue) for _, queue in names))
        lost = {kind for (kind, queue), count in zip(names, added, strict=True) if count < self._added.get(queue, 0)}
        self._added = {queue: count for (_, queue), count in zip(names, added, strict=True)}
        if lost:
            log.warning(
                "agent queues were deleted; queueing their tasks again", action="queue_lost", types=sorted(lost)
            )
            for execution in list(self._host.executions.values()):
                unsettled = execution.machine.unsettled.values()
                if any(run.state == "queued" and run.call.task_type in lost for run in unsettled):
                    execution.deliver(None, queue_again=True)

    async def _entries_added(self, queue: str) -> int:
        try:
            flat = await self._host.connection.call("XINFO", "STREAM", queue)
        except ResponseError:
            return 0  # it does not exist
        return int(dict(zip(flat[::2], flat[1::2], strict=True))[b"entries-added"])

    # --- deadline indexes --------------------------------------------------------------------

    async def _indexes(self) -> None:
        connection = self._host.connection
        shards = range(connection.keys.shards)
        kept = await asyncio.gather(*(connection.call("ZSCORE", connection.keys.deadlines(s), KEPT) for s in shards))
        lost = [shard for shard, score in zip(shards, kept, strict=True) if score is None]
        if not lost:
            return
        count = 0
        async for ids in self._held():
            count += await self._index([name for name in ids if connection.keys.shard(name) in lost])
        for shard in lost:
            await connection.call("ZADD", connection.keys.deadlines(shard), "+inf", KEPT)
        if count:
            log.warning(
                "deadline indexes lacked workflows; filled again", action="index_lost", shards=lost, workflows=count
            )

    async def _held(self) -> AsyncIterator[list[str]]:
        """The ids of all workflows in Redis, in batches."""
        connection = self._host.connection
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", f"{connection.keys.prefix}workflow:{{") + "*"
        for node in await connection.nodes():
            cursor: Any = b"0"
            while True:
                cursor, found = await node.call("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN)
                yield [name.decode().partition("}:")[2] for name in found]
                if cursor == b"0":
                    break

    async def _index(self, ids: list[str]) -> int:
        """Index workflows that have not ended, or whose parent has not confirmed their end; gives how many were not."""
        call, keys = self._host.connection.call, self._host.connection.keys
        found = await asyncio.gather(*(call("HMGET", keys.workflow(name), "state", "parent") for name in ids))
        live = [
            name for name, (state, parent) in zip(ids, found, strict=True) if state and (state not in _FINAL or parent)
        ]
        now_ms = self._host.now_ms()
        added = await asyncio.gather(*(call("ZADD", keys.deadlines(keys.shard(n)), "NX", now_ms, n) for n in live))
        return sum(added)
