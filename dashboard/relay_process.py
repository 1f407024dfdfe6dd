"""One batch of events: read what they are about, commit it, tell pages, acknowledge, forget."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError
from django.utils import timezone

from coordination.commands import Commands
from coordination.connection import Connection
from coordination.domain import EscalationSnapshot, EscalationState, WorkflowSnapshot
from coordination.inspect import Inspector
from coordination.journal import Numbered
from coordination.keys import RELAY_GROUP
from dashboard import live, mirror, relay_outcomes
from dashboard.relay_batch import Batch
from dashboard.relay_status import Reporter

logger = logging.getLogger("ganglion.relay")

RunSql = Callable[..., Awaitable[Any]]
_ACKNOWLEDGED = 1_000  # entries in one call
_REMEMBERED = 20_000  # workflows

Place = tuple[Any, ...]


@dataclass(slots=True)
class Reading:
    """A batch, and what Redis held of its objects."""

    batch: Batch
    read_at: dt.datetime
    snapshots: list[WorkflowSnapshot]
    journals: dict[str, list[Numbered]]  # of those that have finished
    escalated: list[EscalationSnapshot]
    refused: set[str] = field(default_factory=set)  # what the database did not take

    @property
    def finished(self) -> list[str]:
        """The workflows that have ended."""
        return [snapshot.id for snapshot in self.snapshots if snapshot.state.is_final]


class Processor:
    """Mirrors batches; every part may be repeated.

    Args:
        connection: To Redis.
        sql: Runs database work on the relay's thread.
        reporter: Counts what was mirrored.
    """

    def __init__(self, connection: Connection, sql: RunSql, reporter: Reporter) -> None:
        self.connection = connection
        self.inspector = Inspector(connection)
        self.commands = Commands(connection)
        self.sql = sql
        self.reporter = reporter
        self.is_watched = True  # whether some page is open, as far as is known
        self.took_s = 0.0  # the last batch, from reading to the end
        self._mirrored: dict[str, Place] = {}  # oldest first
        keys = connection.keys
        self._seen = {keys.events(shard): keys.seen(shard) for shard in range(keys.shards)}

    async def read(self, batch: Batch) -> Reading:
        """What Redis holds now of the objects that a batch names."""
        await self.seen({stream: int(ids[-1].partition(b"-")[0]) for stream, ids in batch.entries.items() if ids})
        read_at = timezone.now()
        held = await self.inspector.snapshots(sorted(batch.workflows))
        snapshots = [snapshot for snapshot in held if snapshot is not None]
        finished = [snapshot.id for snapshot in snapshots if snapshot.state.is_final]
        journals = await self.inspector.journals(finished)
        found = await asyncio.gather(*(self.inspector.escalation(name) for name in sorted(batch.escalations)))
        return Reading(
            batch,
            read_at,
            snapshots,
            {workflow_id: entries for workflow_id, entries in zip(finished, journals, strict=True) if entries},
            [snapshot for snapshot in found if snapshot is not None],
        )

    async def seen(self, streams: dict[str, int]) -> None:
        """Say up to which ms the events of streams have been fetched, before what they tell of is read.

        A change of a workflow whose last event is later writes no further event (``announce_once`` in
        ``coordination/lua/_journal.lua``), because whoever fetches that one will read this change too.
        """
        marks = [("ZADD", self._seen[name], "GT", ms, "ms") for name, ms in streams.items() if name in self._seen]
        await asyncio.gather(*(self.connection.call(*mark) for mark in marks))

    async def commit(self, reading: Reading) -> None:
        """Store, tell pages, forget, acknowledge, in this order, so that a crash repeats what is left.

        Raises:
            OperationalError: The database is locked or away; nothing was acknowledged.
        """
        reading.snapshots = [found for found in reading.snapshots if self._mirrored.get(found.id) != _place(found)]
        await self.rebuild(reading)
        self._remember(reading)  # what was rebuilt is not: its events are still to be counted
        self.reporter.mirrored(reading.snapshots)
        await self.acknowledge(reading.batch)
        self.took_s = (timezone.now() - reading.read_at).total_seconds()

    async def rebuild(self, reading: Reading) -> None:
        """``commit`` for what no event has told of: there is nothing to acknowledge or to count."""
        for snapshot in reading.snapshots:
            before = self._mirrored.get(snapshot.id)
            if before is not None and before[0] != snapshot.created_ms:  # submitted again, under the same id
                del self._mirrored[snapshot.id]
        await self._store(reading)
        await self._tell(reading.batch)
        followed = await self._follow(reading.snapshots, reading.finished)
        if followed:
            await self._tell(Batch(escalations=followed))
        await self._forget(reading)

    def forget_mirrored(self) -> None:
        """The history may have lost what it was known to hold."""
        self._mirrored.clear()

    async def acknowledge(self, batch: Batch) -> None:
        """Take a batch's events off their streams."""
        for stream, ids in batch.entries.items():
            for first in range(0, len(ids), _ACKNOWLEDGED):
                part = ids[first : first + _ACKNOWLEDGED]
                await self.connection.script("acknowledge", [stream], [RELAY_GROUP, *part])

    async def _store(self, reading: Reading) -> None:
        stored = (reading.snapshots, reading.journals, reading.escalated, reading.batch.hosts, reading.read_at)
        try:
            await self.sql(mirror.store, *stored, self._mirrored)
        except (OperationalError, InterfaceError):
            raise
        except DatabaseError as error:
            logger.error("a row does not fit the database, storing the batch one by one: %s", error)
            await self._store_singly(reading)

    def _remember(self, reading: Reading) -> None:
        """What a batch left in the history: an event of a change that was read already brings nothing new."""
        for snapshot in reading.snapshots:
            if snapshot.id not in reading.refused:
                self._mirrored.pop(snapshot.id, None)
                self._mirrored[snapshot.id] = _place(snapshot)
        while len(self._mirrored) > _REMEMBERED:
            del self._mirrored[next(iter(self._mirrored))]

    async def _store_singly(self, reading: Reading) -> None:
        """One row that cannot be stored must not hold up the others."""
        parts: list[tuple[str, list[WorkflowSnapshot], list[EscalationSnapshot]]] = [
            *((snapshot.id, [snapshot], []) for snapshot in reading.snapshots),
            *((found.id, [], [found]) for found in reading.escalated),
        ]
        for name, workflow, escalation in parts:
            try:
                await self.sql(mirror.store, workflow, reading.journals, escalation, (), reading.read_at)
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError as error:
                reading.refused.add(name)
                reading.journals.pop(name, None)  # so that it is not forgotten in Redis either
                logger.error("%s stays out of the history: %s", name, error)
        await self.sql(mirror.store, [], {}, [], reading.batch.hosts)

    async def _forget(self, reading: Reading) -> None:
        """Let Redis forget what the history holds to its end."""
        mirrored = {snapshot.id: snapshot.seq for snapshot in reading.snapshots if snapshot.id in reading.journals}
        closed = [found.id for found in reading.escalated if found.state is not EscalationState.OPEN]
        if mirrored:
            await self.commands.forget(mirrored)
        await asyncio.gather(*(self.commands.forget_escalation(name) for name in closed))

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

    async def _tell(self, batch: Batch) -> None:
        """Tell pages of what has been stored; nothing that nobody listens to."""
        watched = await live.watched(self.connection)
        self.is_watched = watched is None or bool(watched)
        if not self.is_watched:
            return
        topics: set[str] = set()
        if batch.workflows:
            topics |= {"workflows", "overview"} | {f"workflow.{name}" for name in batch.workflows}
        if batch.escalations:
            topics |= {"escalations", "overview"} | {f"escalation.{name}" for name in batch.escalations}
        if batch.hosts:
            topics |= {"coordinators", "overview"}
        await live.publish_async(topics if watched is None else {one for one in topics if live.group(one) in watched})


def _place(snapshot: WorkflowSnapshot) -> Place:
    """When a workflow was submitted, and all of it that changes: a place is never come to twice."""
    return (
        snapshot.created_ms,
        snapshot.generation,
        snapshot.seq,
        snapshot.epoch,
        snapshot.state,
        snapshot.owner,
        snapshot.steps_total,
        snapshot.steps_done,
        snapshot.retrying,
        snapshot.open_escalations,
        snapshot.progress,
        snapshot.cancel_requested,
        snapshot.parent_id,  # taken away once the parent knows of the end; only then Redis may forget
        snapshot.started_ms,
        snapshot.finished_ms,
        snapshot.deadline_ms,
        snapshot.error and snapshot.error.message,
    )
