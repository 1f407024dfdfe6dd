"""The relay: what happens in Redis becomes history in SQL and a nudge to open pages.

An event only says that something changed. A batch is folded to the objects concerned, their present
state is read and written where it is newer, the transaction commits, pages are told, and only then are
the events acknowledged. So a crash at any point repeats work and loses none, and relays may run side by side.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from redis.exceptions import ResponseError

from coordination.connection import Connection
from coordination.errors import ServerUnavailable
from coordination.inspect import Inspector
from coordination.keys import RELAY_GROUP
from coordination.streams import ensure_groups, no_group
from dashboard.relay_batch import Batch
from dashboard.relay_keeper import Keeper
from dashboard.relay_process import Processor, Reading
from dashboard.relay_status import Reporter

logger = logging.getLogger("ganglion.relay")
T = TypeVar("T")

READ_COUNT = 1_000  # events of each stream in one read; the more the relay is behind, the more it folds together
BLOCK_MS = 1_000
PACE_S = 0.05  # between reads when little happens, so that a burst of events becomes one change
BUSY = 10  # workflows in one read that are many; each then changes once or twice in the history, not with each step
SEEN_LEAST_S, SEEN_MOST_S = 0.15, 0.3  # when much happens and somebody looks: SEEN_TIMES as long as a batch takes
SEEN_TIMES = 3
UNSEEN_PACE_S = 0.5  # when much happens and no page is open
UNSEEN_SHARE_S, UNSEEN_MOST_S = 0.001, 2.0  # and longer for each workflow that changed, up to this
RECLAIM_S = 5.0
DEAD_MS = 15_000  # a relay that took an event and did not acknowledge it for this long has died
BACKOFF_MAX_S = 5.0


class Relay:
    """Mirrors events until it is told to stop.

    Args:
        connection: To Redis.
        name: The consumer's name; the same after a restart, so that what was begun is ended first.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        keys = connection.keys
        self.connection = connection
        self.name = name
        self.host_stream = keys.host_events
        self.streams = [*(keys.events(shard) for shard in range(keys.shards)), self.host_stream]
        self.reporter = Reporter(connection, Inspector(connection), name, self.streams)
        self.processor = Processor(connection, self.sql, self.reporter)
        self.keeper = Keeper(connection, self.sql, self.processor, self.reporter, name, self.streams)
        self._sql = ThreadPoolExecutor(1, thread_name_prefix="relay-sql")
        self._stop = asyncio.Event()
        self._healthy = True
        self._committing: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Finish the batch at hand, then return from ``run``."""
        self._stop.set()

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Mirror until stopped, riding out outages of Redis and of the database.

        Args:
            ready: Called once, when events are being mirrored.
        """
        delay_s = 0.2
        helpers = [
            asyncio.create_task(self._repeat(self._reclaim, RECLAIM_S), name="relay-reclaim"),
            asyncio.create_task(self.reporter.run(self.sql), name="relay-report"),
            asyncio.create_task(self.keeper.run(), name="relay-keeper"),
        ]
        try:
            while not self._stop.is_set():
                try:
                    self.keeper.deleted(await ensure_groups(self.connection, self.streams, RELAY_GROUP))
                    await self.sql(_ping)
                    await self._finish_pending()
                    await self._settled()
                    ready()
                    ready = _nothing
                    self._recovered()
                    delay_s = 0.2
                    while not self._stop.is_set():
                        await self._turn()
                    await self._settled()
                except (ServerUnavailable, ResponseError, DatabaseError, InterfaceError) as error:
                    self._trouble(error)
                    await asyncio.gather(self._settled(), return_exceptions=True)
                    await self._pause(delay_s)
                    delay_s = min(delay_s * 2, BACKOFF_MAX_S)
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self.reporter.leave()
            with suppress(Exception):
                await self.sql(_disconnect)
            self._sql.shutdown()

    async def sql(self, function: Callable[..., T], *args: Any) -> T:
        """Run database work on the relay's own thread, which keeps one connection."""
        return await asyncio.get_running_loop().run_in_executor(self._sql, function, *args)

    # --- reading ---------------------------------------------------------------------------

    async def _turn(self) -> None:
        batch = Batch()
        began = time.monotonic()
        for streams in self._groups():
            command = ("XREADGROUP", "GROUP", RELAY_GROUP, self.name, "COUNT", READ_COUNT)
            block = ("BLOCK", BLOCK_MS) if len(streams) == len(self.streams) else ()
            reply = await self.connection.blocking(*command, *block, "STREAMS", *streams, *([">"] * len(streams)))
            batch.add_reply(reply, self.host_stream)
        if batch:
            await self.process(batch)
        if len(batch.workflows) < BUSY:
            await self._settled()
            await self._pause(PACE_S)
        elif max(map(len, batch.entries.values())) < READ_COUNT:  # not behind
            changed, took_s = len(batch.workflows), self.processor.took_s
            pace_s = seen_pace_s(took_s) if self.processor.is_watched else unseen_pace_s(changed)
            await self._pause(max(0.0, began + pace_s - time.monotonic()))

    def _groups(self) -> list[list[str]]:
        """Streams that one read may name together: all of them, but on a cluster each alone."""
        if not self.connection.one_server:
            return [[stream] for stream in self.streams]
        return [self.streams]

    async def _finish_pending(self) -> None:
        """What this relay took before it stopped or lost its connection comes first."""
        for stream in self.streams:
            place: bytes = b"0"
            while not self._stop.is_set():
                command = ("XREADGROUP", "GROUP", RELAY_GROUP, self.name, "COUNT", READ_COUNT, "STREAMS", stream, place)
                batch = Batch()
                batch.add_reply(await self.connection.call(*command), self.host_stream)
                if not batch:
                    break
                place = batch.entries[stream][-1]
                await self.process(batch)

    async def _reclaim(self) -> None:
        """Take over what dead relays left unacknowledged."""
        for stream in self.streams:
            place: bytes = b"0-0"
            while True:
                command = ("XAUTOCLAIM", stream, RELAY_GROUP, self.name, DEAD_MS, place, "COUNT", READ_COUNT)
                reply = await self.connection.call(*command)
                batch = Batch()
                batch.add(stream, reply[1], self.host_stream)
                if batch:
                    logger.info("taking over %d events of %s that another relay left", batch.events, stream)
                    reading = await self._read(batch)
                    await (self._singly(batch) if reading is None else self._commit(reading))
                place = reply[0]
                if place == b"0-0":
                    break

    # --- one batch ---------------------------------------------------------------------------

    async def process(self, batch: Batch) -> None:
        """Mirror a batch while the next is read: at most one is being committed."""
        reading = await self._read(batch)
        await self._settled()
        if reading is None:
            await self._singly(batch)
        else:
            self._committing = asyncio.create_task(self._commit(reading), name="relay-commit")

    async def _read(self, batch: Batch) -> Reading | None:
        """What Redis holds of a batch, None when something of it cannot be read."""
        try:
            return await self.processor.read(batch)
        except (ServerUnavailable, ResponseError):
            raise
        except Exception:
            logger.exception("a batch cannot be read as a whole, mirroring it one by one")
            return None

    async def _settled(self) -> None:
        """Wait for the commit under way; its error is raised here."""
        committing, self._committing = self._committing, None
        if committing is not None:
            await committing

    async def _commit(self, reading: Reading, alone: bool = False) -> None:
        """Commit a batch, waiting as long as the database is locked or away; one that cannot be, one by one."""
        delay_s = 0.1
        while True:
            try:
                await self.processor.commit(reading)
            except (OperationalError, InterfaceError) as error:
                self._trouble(error)
                await self.sql(_disconnect)
                if self._stop.is_set():
                    raise  # unacknowledged: the next start finds it
                await self._pause(delay_s)
                delay_s = min(delay_s * 2, BACKOFF_MAX_S)
            except (ServerUnavailable, ResponseError, DatabaseError):
                raise
            except Exception:
                if alone:
                    raise
                logger.exception("a batch cannot be stored as a whole, mirroring it one by one")
                return await self._singly(reading.batch)
            else:
                return self._recovered()

    async def _singly(self, batch: Batch) -> None:
        """One object that cannot be read must not hold up the others."""
        parts = [Batch(workflows={name}) for name in sorted(batch.workflows)]
        parts += [Batch(escalations={name}) for name in sorted(batch.escalations)]
        for part in (*parts, Batch(hosts=batch.hosts)):
            try:
                await self._commit(await self.processor.read(part), alone=True)
            except (ServerUnavailable, ResponseError, DatabaseError, InterfaceError):
                raise
            except Exception:
                logger.exception("%s stays out of the history", *(part.workflows or part.escalations or {"a host"}))
        await self.processor.acknowledge(batch)

    # --- outages -------------------------------------------------------------------------------

    def _trouble(self, error: Exception) -> None:
        """One line for an outage, however long it lasts."""
        if isinstance(error, ResponseError) and no_group(error):
            logger.warning("the event streams' group has vanished from Redis; making it anew")
            return
        what = "the history database" if isinstance(error, DatabaseError | InterfaceError) else "Redis"
        self.reporter.note = f"{what} does not answer"
        if self._healthy:
            logger.warning("waiting for %s, nothing is lost meanwhile: %s", what, " ".join(str(error).split()))
        self._healthy = False

    def _recovered(self) -> None:
        self.reporter.note = ""
        if not self._healthy:
            logger.info("mirroring again")
        self._healthy = True

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _repeat(self, work: Callable[[], Any], every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await work()
            except (ServerUnavailable, ResponseError, DatabaseError, InterfaceError):
                pass
            except Exception:
                logger.exception("%s failed; it is tried again", asyncio.current_task())


def seen_pace_s(took_s: float) -> float:
    """The time from read to read while a page is open: short where the machine has room, so that pages show it soon.

    Args:
        took_s: What the batch before took, from reading to the end.
    """
    return min(SEEN_MOST_S, max(SEEN_LEAST_S, SEEN_TIMES * took_s))


def unseen_pace_s(changed: int) -> float:
    """The time from read to read while no page is open, so that a workflow that takes long is not written at each step.

    Args:
        changed: Workflows in the read before.
    """
    return min(UNSEEN_MOST_S, max(UNSEEN_PACE_S, UNSEEN_SHARE_S * changed))


def _ping() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _disconnect() -> None:
    connection.close()  # looked up here, because each thread has its own


def _nothing() -> None:
    pass
