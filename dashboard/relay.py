"""The relay: what happens in Redis becomes history in SQL and a nudge to open pages.

An event only says that something changed. A batch is folded to the objects concerned, their present
state is read and written where it is newer, the transaction commits, pages are told, and only then are
the events acknowledged. So a crash at any point repeats work and loses none, and relays may run side by side.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone
from redis.exceptions import ResponseError

from coordination.commands import Commands
from coordination.connection import Connection
from coordination.domain import EscalationSnapshot, EscalationState, WorkflowSnapshot
from coordination.errors import ServerUnavailable
from coordination.inspect import Inspector
from coordination.journal import Numbered
from coordination.keys import RELAY_GROUP
from coordination.streams import ensure_groups, no_group
from dashboard import live, mirror, relay_outcomes
from dashboard.models import HostEvent
from dashboard.relay_batch import Batch
from dashboard.relay_status import Reporter

logger = logging.getLogger("ganglion.relay")
T = TypeVar("T")

READ_COUNT = 500  # events of each stream in one read; the more the relay is behind, the more it folds together
BLOCK_MS = 1_000
PACE_S = 0.05  # between small batches, so that a burst of events becomes one change
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
        self.inspector = Inspector(connection)
        self.commands = Commands(connection)
        self.host_stream = keys.host_events
        self.streams = [*(keys.events(shard) for shard in range(keys.shards)), self.host_stream]
        self.reporter = Reporter(connection, self.inspector, name, self.streams)
        self._sql = ThreadPoolExecutor(1, thread_name_prefix="relay-sql")
        self._stop = asyncio.Event()
        self._healthy = True

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
        ]
        try:
            while not self._stop.is_set():
                try:
                    await ensure_groups(self.connection, self.streams, RELAY_GROUP)
                    await self.sql(_ping)
                    await self._finish_pending()
                    ready()
                    ready = _nothing
                    self._recovered()
                    delay_s = 0.2
                    while not self._stop.is_set():
                        await self._turn()
                except (ServerUnavailable, ResponseError, DatabaseError, InterfaceError) as error:
                    self._trouble(error)
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
        for streams in self._groups():
            command = ("XREADGROUP", "GROUP", RELAY_GROUP, self.name, "COUNT", READ_COUNT)
            block = ("BLOCK", BLOCK_MS) if len(streams) == len(self.streams) else ()
            reply = await self.connection.blocking(*command, *block, "STREAMS", *streams, *([">"] * len(streams)))
            batch.add_reply(reply, self.host_stream)
        if batch:
            await self.process(batch)
        if batch.events < READ_COUNT:
            await self._pause(PACE_S)

    def _groups(self) -> list[list[str]]:
        """Streams that one read may name together: all of them, but on a cluster each alone."""
        if self.connection.config.redis_url.startswith("redis+cluster://"):
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
                    await self.process(batch)
                place = reply[0]
                if place == b"0-0":
                    break

    # --- one batch ---------------------------------------------------------------------------

    async def process(self, batch: Batch) -> None:
        """Mirror a batch: read, commit, tell, acknowledge, forget; repeatable as a whole."""
        read_at = timezone.now()
        held = await self.inspector.snapshots(sorted(batch.workflows))
        snapshots = [snapshot for snapshot in held if snapshot is not None]
        finished = [snapshot.id for snapshot in snapshots if snapshot.state.is_final]
        read = await asyncio.gather(*(self.inspector.journal(workflow_id) for workflow_id in finished))
        journals = {workflow_id: entries for workflow_id, entries in zip(finished, read, strict=True) if entries}
        found = await asyncio.gather(*(self.inspector.escalation(name) for name in sorted(batch.escalations)))
        escalated = [snapshot for snapshot in found if snapshot is not None]
        await self._store(snapshots, journals, escalated, batch.hosts, read_at)
        followed = await self._follow(snapshots, finished)
        self.reporter.mirrored(snapshots)
        await live.publish_async(await self._topics(batch, followed))
        for stream, ids in batch.entries.items():
            for first in range(0, len(ids), 1_000):
                await self.connection.script("acknowledge", [stream], [RELAY_GROUP, *ids[first : first + 1_000]])
        await self._forget(snapshots, journals, escalated)

    async def _forget(
        self,
        snapshots: list[WorkflowSnapshot],
        journals: dict[str, list[Numbered]],
        escalated: list[EscalationSnapshot],
    ) -> None:
        """Let Redis forget what the history holds to its end; a sweep repeats what a crash leaves out."""
        mirrored = {snapshot.id: snapshot.seq for snapshot in snapshots if snapshot.id in journals}
        closed = [found.id for found in escalated if found.state is not EscalationState.OPEN]
        if mirrored:
            await self.commands.forget(mirrored)
        await asyncio.gather(*(self.commands.forget_escalation(name) for name in closed))

    async def _store(
        self,
        snapshots: list[WorkflowSnapshot],
        journals: dict[str, list[Numbered]],
        escalated: list[EscalationSnapshot],
        hosts: list[HostEvent],
        read_at: dt.datetime,
    ) -> None:
        """Commit a batch, waiting as long as the database is locked or away."""
        delay_s = 0.1
        while True:
            try:
                await self.sql(mirror.store, snapshots, journals, escalated, hosts, read_at)
            except (OperationalError, InterfaceError) as error:
                self._trouble(error)
                await self.sql(_disconnect)
                if self._stop.is_set():
                    raise  # unacknowledged: the next start finds it
                await self._pause(delay_s)
                delay_s = min(delay_s * 2, BACKOFF_MAX_S)
            except DatabaseError as error:
                logger.error("a row does not fit the database, storing the batch one by one: %s", error)
                await self._store_singly(snapshots, journals, escalated, hosts)
                return
            else:
                self._recovered()
                return

    async def _store_singly(
        self,
        snapshots: list[WorkflowSnapshot],
        journals: dict[str, list[Numbered]],
        escalated: list[EscalationSnapshot],
        hosts: list[HostEvent],
    ) -> None:
        """One row that cannot be stored must not hold up the others."""
        parts: list[tuple[str, list[WorkflowSnapshot], list[EscalationSnapshot]]] = [
            *((snapshot.id, [snapshot], []) for snapshot in snapshots),
            *((found.id, [], [found]) for found in escalated),
        ]
        for name, workflow, escalation in parts:
            try:
                await self.sql(mirror.store, workflow, journals, escalation)
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError as error:
                journals.pop(name, None)  # so that it is not forgotten in Redis either
                logger.error("%s stays out of the history: %s", name, error)
        await self.sql(mirror.store, [], {}, [], hosts)

    async def _follow(self, snapshots: list[WorkflowSnapshot], finished: list[str]) -> set[str]:
        """Let escalations learn what became of their workflow; returns those that changed."""
        if not snapshots:
            return set()
        waiting = await self.sql(relay_outcomes.find, [snapshot.id for snapshot in snapshots], finished)
        if not waiting:
            return set()
        by_id = {snapshot.id: snapshot for snapshot in snapshots}
        outcomes: dict[str, str] = {}
        left = sorted({escalation.workflow_id for escalation in waiting if escalation.state == "open"})
        for escalation in waiting:
            if escalation.state == "open":
                continue
            steps = await self.inspector.steps(escalation.workflow_id)
            known = relay_outcomes.outcome(escalation, by_id[escalation.workflow_id], steps)
            if known != "dispatched":
                outcomes[escalation.id] = known
        await self.sql(relay_outcomes.write, outcomes)
        if left:
            await self.sql(mirror.withdraw, left)
        return {*outcomes, *(escalation.id for escalation in waiting if escalation.state == "open")}

    async def _topics(self, batch: Batch, followed: set[str]) -> set[str]:
        topics: set[str] = set()
        if batch.workflows:
            topics |= {"workflows", "overview"} | {f"workflow.{name}" for name in batch.workflows}
        if batch.escalations or followed:
            topics |= {"escalations", "overview"}
            topics |= {f"escalation.{name}" for name in batch.escalations | followed}
        if batch.hosts:
            topics |= {"coordinators", "overview"}
        watched = await live.watched(self.connection)
        return topics if watched is None else {topic for topic in topics if live.group(topic) in watched}

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
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _repeat(self, work: Callable[[], Any], every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            with suppress(ServerUnavailable, ResponseError, DatabaseError, InterfaceError):
                await work()


def _ping() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _disconnect() -> None:
    connection.close()  # looked up here, because each thread has its own


def _nothing() -> None:
    pass
