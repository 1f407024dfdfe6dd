"""Finds gaps between Redis and the history, and has them closed; one relay at a time does it.

Redis and the history carry the same mark, and the history knows how many entries each event stream ever had
and which server that was. So a loss is seen whenever it happened, while no relay ran too:

- Redis has no mark, or an older one: it was emptied, or restored from an older copy.
- The history has no mark, or an older one: it is new, or was restored from a backup.
- A stream has had fewer entries than the history knows of: it was deleted.
- The server's run id is another: it was restarted or another has taken over, and may have lost its last writes.
- The group is missing on a stream: likewise.
- Entries stand in a stream that its group neither holds nor will deliver: the group was made anew.

The marks are written only once what they promise is true.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
from django.db import DatabaseError, InterfaceError
from redis.exceptions import ResponseError

from coordination.connection import Connection
from coordination.errors import ServerUnavailable
from coordination.keys import RELAY_GROUP
from dashboard.models import RelayMark
from dashboard.relay_batch import Batch
from dashboard.relay_process import Processor
from dashboard.relay_resync import Resync, told
from dashboard.relay_status import Reporter

logger = logging.getLogger("ganglion.relay")

LOOK_S = 2.0
HELD_MS = 15_000  # how long a relay that has died keeps others from looking
_ORPHANS = 500  # in one read

RunSql = Callable[..., Awaitable[Any]]


class Mark(msgspec.Struct, frozen=True):
    """What Redis says of itself, or the history of the Redis that it was made from."""

    at: int = 0  # 0: there is no mark
    server: str = ""
    added: dict[str, int] = {}
    before: int = 0  # the mark that Redis carried before, while the history may not have the new one


class Gap(msgspec.Struct, frozen=True):
    """Something that events did not tell."""

    why: str
    streams: frozenset[str]  # whose events were lost
    may_close: bool = True  # what Redis does not hold it has lost


def find_gap(redis: Mark, kept: Mark, deleted: frozenset[str] = frozenset()) -> Gap | None:
    """What is missing between Redis as it is and the history's mark.

    Args:
        redis: As it is.
        kept: The history's mark.
        deleted: Streams that are known to have been deleted.
    """
    every = frozenset(redis.added)
    if not kept.at:
        words = "the history was emptied" if redis.at else "the history has no mark of this Redis yet"
        return Gap(words, every, may_close=bool(redis.at))
    if not redis.at:
        return Gap("Redis was emptied", every)
    if kept.at not in (redis.at, redis.before):
        older = "Redis" if redis.at < kept.at else "the history"
        return Gap(f"{older} was restored from an older copy", every)
    lost = deleted | frozenset(name for name, added in redis.added.items() if added < kept.added.get(name, 0))
    if lost:
        return Gap(f"{len(lost)} event streams were deleted", lost)
    if redis.server != kept.server:
        return Gap("the server was restarted or replaced", frozenset())
    return None


class Keeper:
    """Looks for gaps as long as its relay runs.

    Args:
        connection: To Redis.
        sql: Runs database work on the relay's thread.
        processor: Mirrors.
        reporter: Says on pages that a gap is being closed.
        name: The relay's name.
        streams: The event streams, the hosts' as the last one.
    """

    def __init__(
        self,
        connection: Connection,
        sql: RunSql,
        processor: Processor,
        reporter: Reporter,
        name: str,
        streams: list[str],
    ) -> None:
        self.connection = connection
        self.keys = connection.keys
        self.sql = sql
        self.processor = processor
        self.reporter = reporter
        self.name = name
        self.streams = streams
        self._now = asyncio.Event()
        self._deleted: set[str] = set()

    def deleted(self, streams: list[str]) -> None:
        """Look at once, because the group had to be made on these streams: they are new, or were deleted."""
        self._deleted.update(streams)
        self._now.set()

    async def run(self) -> None:
        """Look until cancelled; an outage only delays."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._now.wait()
            self._now.clear()
            try:
                if await self._is_mine():
                    await self.look()
            except (ServerUnavailable, ResponseError, DatabaseError, InterfaceError) as error:
                logger.debug("looking for gaps later: %s", error)
            except Exception:
                logger.exception("gaps of the history cannot be looked for")
            finally:
                self.reporter.rebuilding = ""

    async def look(self) -> Gap | None:
        """Find a gap and close it; then both sides carry a new mark."""
        redis, kept = await self.measure(), await self.sql(_kept)
        deleted, self._deleted = self._deleted, set()  # what is deleted meanwhile is for the next look
        try:
            gap = find_gap(redis, kept, frozenset(deleted))
            if gap is not None:
                await self._close(gap)
            if gap is not None or redis.added != kept.added:
                await self._mark(redis, kept)
        except BaseException:
            self._deleted |= deleted
            raise
        for stream in self.streams:
            await self._orphans(stream)
        return gap

    async def measure(self) -> Mark:
        """Redis as it is."""
        fields, info, added = await asyncio.gather(
            self.connection.call("HMGET", self.keys.relay_mark, "at", "before"),
            self.connection.call("INFO", "server"),
            asyncio.gather(*(self._added(stream) for stream in self.streams)),
        )
        server = next((line[7:] for line in info.decode().splitlines() if line.startswith("run_id:")), "")
        at, before = (int(value or 0) for value in fields)
        return Mark(at, server, dict(zip(self.streams, added, strict=True)), before)

    async def _added(self, stream: str) -> int:
        try:
            reply = await self.connection.call("XINFO", "STREAM", stream)
        except ResponseError:  # there is none
            return 0
        return int(dict(zip(reply[::2], reply[1::2], strict=True)).get(b"entries-added", 0))

    async def _close(self, gap: Gap) -> None:
        shards = {shard for shard in range(self.keys.shards) if self.keys.events(shard) in gap.streams}
        began = time.monotonic()
        level = logging.WARNING if gap.may_close else logging.INFO
        logger.log(level, "%s: the history is compared with what Redis holds", gap.why)
        self.reporter.rebuilding = f"the history is being rebuilt, because {gap.why}"
        self.processor.forget_mirrored()
        now_ms = await self._now_ms()
        await self.processor.seen({self.keys.events(shard): now_ms for shard in shards})
        resync = Resync(self.connection, self.processor, self.sql, self._say)
        found = await resync.run(shards, may_close=gap.may_close)
        logger.log(level, "the gap is closed after %.1f s: %s", time.monotonic() - began, told(found))

    async def _say(self, words: str) -> None:
        logger.info("rebuilding the history: %s so far", words)
        await self._is_mine()

    async def _mark(self, redis: Mark, kept: Mark) -> None:
        """Write the new mark: Redis first, with the one before, so that dying in between is no gap."""
        at = max(await self._now_ms(), redis.at + 1, kept.at + 1)
        await self.connection.call("HSET", self.keys.relay_mark, "at", at, "before", kept.at or at)
        await self.sql(_keep, Mark(at, redis.server, redis.added))
        await self.connection.call("HSET", self.keys.relay_mark, "before", at)

    async def _now_ms(self) -> int:
        seconds, micros = await self.connection.call("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def _orphans(self, stream: str) -> None:
        """Mirror entries that a group made anew has skipped.

        Acknowledged entries are deleted with the acknowledgement; so what stands before the first pending
        one, and was passed over by the group, nobody will ever read.
        """
        group = await self._group(stream)
        if group is None:
            return
        first = (await self.connection.call("XPENDING", stream, RELAY_GROUP))[1]
        end = b"(" + first if first else group[b"last-delivered-id"]
        entries = await self.connection.call("XRANGE", stream, "-", end, "COUNT", _ORPHANS)
        if entries:
            logger.warning("%d events of %s were skipped by its group; mirroring them", len(entries), stream)
            batch = Batch()
            batch.add(stream, entries, self.keys.host_events)
            await self.processor.commit(await self.processor.read(batch))

    async def _group(self, stream: str) -> dict[bytes, Any] | None:
        with suppress(ResponseError):
            for raw in await self.connection.call("XINFO", "GROUPS", stream):
                group: dict[bytes, Any] = dict(zip(raw[::2], raw[1::2], strict=True))
                if group[b"name"] == RELAY_GROUP.encode():
                    return group
        return None

    async def _is_mine(self) -> bool:
        """Whether this relay is the one that looks; two of them would only do the same twice."""
        key = self.keys.relay_keeper
        if await self.connection.call("SET", key, self.name, "NX", "PX", HELD_MS):
            return True
        mine = await self.connection.call("GET", key) == self.name.encode()
        return bool(mine and await self.connection.call("PEXPIRE", key, HELD_MS))


def _kept() -> Mark:
    row = RelayMark.objects.filter(pk=1).first()
    return Mark(row.at, row.server, row.added) if row is not None else Mark()


def _keep(mark: Mark) -> None:
    values = {"at": mark.at, "server": mark.server, "added": mark.added}
    RelayMark.objects.update_or_create(pk=1, defaults=values)
