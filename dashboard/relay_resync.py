"""Rebuilds the history from what Redis holds, after a gap in the events; see ``dashboard.relay_keeper``.

Batch by batch beside the mirroring of new events, and safe to repeat: first every workflow and escalation that
Redis holds, then every row that still lives, so that what Redis has lost is closed.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from typing import Any

import msgspec
from django.db import DatabaseError
from redis.exceptions import ResponseError

from coordination.connection import Connection
from coordination.domain import EscalationSnapshot, WorkflowSnapshot
from coordination.errors import ServerUnavailable
from coordination.inspect import Inspector
from coordination.keys import workflow_of
from dashboard import live, reconciliation
from dashboard.reconciliation import Place
from dashboard.relay_batch import Batch
from dashboard.relay_process import Processor

logger = logging.getLogger("ganglion.relay")

BATCH = 200
SCAN_COUNT = 1_000
SAY_S = 5.0

RunSql = Callable[..., Awaitable[Any]]


class Found(msgspec.Struct):
    """What a rebuilding has done."""

    read: int = 0  # workflows
    closed: int = 0  # that Redis has lost
    rewound: int = 0  # set back to an older state that Redis holds
    reopened: int = 0  # escalations
    newer: int = 0  # rows that were behind Redis

    def plus(self, other: Found) -> Found:
        """Both together."""
        return Found(*map(sum, zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)))


class Resync:
    """Compares history and Redis, and makes the history follow.

    Args:
        connection: To Redis.
        processor: Mirrors what was read.
        sql: Runs database work.
        say: Told how far it has come.
    """

    def __init__(
        self,
        connection: Connection,
        processor: Processor,
        sql: RunSql,
        say: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.connection = connection
        self.inspector = Inspector(connection)
        self.processor = processor
        self.sql = sql
        self.found = Found()
        self._say = say
        self._said_at = time.monotonic()

    async def run(self, shards: Collection[int], *, may_close: bool) -> Found:
        """Rebuild what belongs to some shards; then look after all rows that live.

        Args:
            shards: Of which events were lost.
            may_close: Whether this is known to be the server that the history was made from.
        """
        if shards:
            async for workflows, escalations in self._held(frozenset(shards)):
                await self.read_workflows(workflows)
                await self.read_escalations(escalations)
                await self._progress()
        after = ""
        while may_close and (ids := await self.sql(reconciliation.living, after, BATCH)):
            await self.verify(ids, may_close=True)
            after = ids[-1]
            await self._progress()
        return self.found

    async def _held(self, shards: frozenset[int]) -> AsyncIterator[tuple[list[str], list[str]]]:
        """Ids of the workflows and escalations of some shards that Redis holds, in batches."""
        keys = self.connection.keys
        heads = (f"{keys.prefix}workflow:{{", f"{keys.prefix}escalation:{{")
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", keys.prefix) + "*:{*}:*"
        found: tuple[list[str], list[str]] = ([], [])
        for node in await self.connection.nodes():
            cursor: Any = 0
            while True:
                cursor, raw = await node.call("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
                for name in map(bytes.decode, raw):
                    for kind, head in enumerate(heads):
                        if name.startswith(head):
                            object_id = name.partition("}:")[2]
                            if keys.shard(workflow_of(object_id)) in shards:
                                found[kind].append(object_id)
                while max(map(len, found)) >= BATCH:
                    yield found[0][:BATCH], found[1][:BATCH]
                    del found[0][:BATCH], found[1][:BATCH]
                if int(cursor) == 0:
                    break
        if any(found):
            yield found

    async def read_workflows(self, ids: list[str]) -> None:
        """Mirror workflows that Redis holds; rows that came from what it has lost are set back."""
        if not ids:
            return
        try:
            await self._read_workflows(ids)
        except (ServerUnavailable, ResponseError, DatabaseError):
            raise
        except Exception:
            if len(ids) == 1:
                logger.exception("%s stays out of the history", ids[0])
                return
            for name in ids:
                await self.read_workflows([name])

    async def _read_workflows(self, ids: list[str]) -> None:
        known: dict[str, Place] = await self.sql(reconciliation.places, ids)
        reading = await self.processor.read(Batch(workflows=set(ids)))
        self.found.read += len(reading.snapshots)
        reading.snapshots = [snapshot for snapshot in reading.snapshots if not _is_known(snapshot, known)]
        if not reading.snapshots:
            return
        reading.batch.workflows = {snapshot.id for snapshot in reading.snapshots}
        await self.processor.rebuild(reading)
        self.found.rewound += len(await self.sql(reconciliation.rewind, reading.snapshots, known))
        self.found.newer += sum(_is_newer(snapshot, known) for snapshot in reading.snapshots)

    async def read_escalations(self, ids: list[str]) -> set[str]:
        """Mirror escalations; returns those that Redis holds. What it holds as open is open again."""
        if not ids:
            return set()
        try:
            return await self._read_escalations(ids)
        except (ServerUnavailable, ResponseError, DatabaseError):
            raise
        except Exception:
            if len(ids) == 1:
                logger.exception("%s stays out of the history", ids[0])
                return set(ids)
            return set().union(*[await self.read_escalations([name]) for name in ids])

    async def _read_escalations(self, ids: list[str]) -> set[str]:
        known = await self.sql(reconciliation.versions, ids)
        reading = await self.processor.read(Batch(escalations=set(ids)))
        held: list[EscalationSnapshot] = reading.escalated
        await self.processor.rebuild(reading)
        self.found.reopened += len(await self.sql(reconciliation.reopen, held, known))
        return {snapshot.id for snapshot in held}

    async def verify(self, ids: list[str], *, may_close: bool) -> None:
        """Compare rows that live with Redis: read again those that differ, close those that it has lost."""
        keys = self.connection.keys
        held = await asyncio.gather(*(self.connection.call("HEXISTS", keys.workflow(name), "state") for name in ids))
        missing = [name for name, exists in zip(ids, held, strict=True) if not exists]
        if missing and may_close:
            closed = await self.sql(reconciliation.close, missing)
            self.found.closed += closed
            if closed:
                await live.publish_async({"workflows", "overview", "escalations"})
        lives = [name for name, exists in zip(ids, held, strict=True) if exists]
        await self.read_workflows(lives)
        opened: list[str] = await self.sql(reconciliation.open_escalations, lives)
        unknown = sorted(set(opened) - await self.read_escalations(opened))
        if unknown and may_close:
            await self.sql(reconciliation.withdraw_unknown, unknown)

    async def _progress(self) -> None:
        if self._say is not None and time.monotonic() - self._said_at >= SAY_S:
            self._said_at = time.monotonic()
            await self._say(told(self.found))


def told(found: Found) -> str:
    """A rebuilding's figures in words."""
    parts: Iterable[tuple[int, str]] = (
        (found.read, "workflows read"),
        (found.closed, "closed because Redis lost them"),
        (found.rewound, "set back"),
        (found.reopened, "escalations opened again"),
    )
    return ", ".join(f"{count:,} {words}" for count, words in parts if count) or "nothing to read"


def _is_known(snapshot: WorkflowSnapshot, known: dict[str, Place]) -> bool:
    """Whether the history shows a workflow as Redis holds it."""
    place = known.get(snapshot.id)
    same = (snapshot.generation, snapshot.seq, snapshot.state.value, snapshot.owner, snapshot.state.is_final)
    return place is not None and same == (place.generation, place.seq, place.state, place.owner, place.is_final)


def _is_newer(snapshot: WorkflowSnapshot, known: dict[str, Place]) -> bool:
    place = known.get(snapshot.id)
    return place is None or (snapshot.generation, snapshot.seq) > place[:2]
