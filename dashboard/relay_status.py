"""How far behind the relays are, and how the whole system does: measured by them, read by pages and probes."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from django.db import DatabaseError, connection
from django.utils import timezone
from redis.exceptions import ResponseError

from coordination import client as core
from coordination.config import current
from coordination.connection import Connection
from coordination.domain import WorkflowSnapshot
from coordination.errors import ServerUnavailable
from coordination.keys import Keys
from dashboard import live, type_courses
from dashboard.models import Escalation, Sample

if TYPE_CHECKING:
    from coordination.inspect import Inspector

STALE_MS = 15_000
REPORT_S = 1.0
SAMPLE_S = 5


class RelayLag(msgspec.Struct, omit_defaults=True):
    """The history's distance from Redis."""

    lag_ms: int = 0  # age of the oldest event that is not mirrored yet
    events: int = 0  # events that are not mirrored yet
    rows_per_s: float = 0.0  # workflows mirrored, over the last second
    at_ms: int = 0  # when a relay last reported, by the server's clock; 0: never
    note: str = ""  # why it stands still, when it does
    relays: int = 0  # that have reported lately
    silent_ms: int = 0  # since that report, by the server's clock

    @property
    def alive(self) -> bool:
        """Whether a relay has reported lately."""
        return self.at_ms > 0 and time.time() * 1000 - self.at_ms < STALE_MS


def read_lag() -> RelayLag:
    """The relays' last reports as one.

    Raises:
        ServerUnavailable: Redis does not answer.
    """
    config = current()
    client = core.sync()
    raw: list[bytes] = client.call("HVALS", Keys(config.prefix, config.shards).relay_lag)
    found = combine(msgspec.json.decode(value, type=RelayLag) for value in raw)
    if found.at_ms:
        found.silent_ms = max(0, _milliseconds(client.call("TIME")) - found.at_ms)
    return found


def combine(reports: Iterable[RelayLag]) -> RelayLag:
    """Several relays' reports as one: the newest lag, all rates."""
    known = sorted(reports, key=lambda report: report.at_ms)
    fresh = [report for report in known if report.alive]
    if not fresh:
        return known[-1] if known else RelayLag()
    newest = fresh[-1]
    note = next((report.note for report in fresh if report.note), "")
    rate = sum(report.rows_per_s for report in fresh)
    return RelayLag(newest.lag_ms, newest.events, rate, newest.at_ms, note, len(fresh))


class Reporter:
    """Writes a relay's report every second and a sample of the system every few."""

    def __init__(self, connection: Connection, inspector: Inspector, name: str, streams: list[str]) -> None:
        self.inspector = inspector
        self.connection = connection
        self.keys: Keys = connection.keys
        self.name = name
        self.streams = streams
        self.note = ""  # why nothing is mirrored now
        self.rebuilding = ""  # why more than new events is mirrored now
        self.lag = RelayLag()
        self._rows = 0
        self._finished = 0
        self._durations: list[int] = []
        self._seen: dict[str, None] = {}

    def mirrored(self, snapshots: list[WorkflowSnapshot]) -> None:
        """Count what a batch has brought."""
        self._rows += len(snapshots)
        for snapshot in snapshots:
            if snapshot.state.is_final and snapshot.id not in self._seen:
                self._seen[snapshot.id] = None
                self._finished += 1
                if snapshot.finished_ms and snapshot.created_ms:
                    self._durations.append(snapshot.finished_ms - snapshot.created_ms)
        while len(self._seen) > 20_000:  # a repeated event must not count twice; older ones do not come again
            self._seen.pop(next(iter(self._seen)))

    async def run(self, sql: Callable[..., Awaitable[Any]]) -> None:
        """Report until cancelled; an outage only makes reports late."""
        next_sample = time.monotonic() + SAMPLE_S
        before = time.monotonic()
        while True:
            await asyncio.sleep(REPORT_S)
            now = time.monotonic()
            rate, self._rows, before = self._rows / (now - before), 0, now
            with suppress(ServerUnavailable, ResponseError):
                await self.report(rate)
            if now >= next_sample:
                next_sample = now + SAMPLE_S
                with suppress(ServerUnavailable, ResponseError, DatabaseError):
                    await self.sample(sql)

    async def report(self, rows_per_s: float = 0.0) -> RelayLag:
        """Measure the lag and write it down."""
        firsts = await asyncio.gather(*(self.connection.call("XRANGE", s, "-", "+", "COUNT", 1) for s in self.streams))
        lengths = await asyncio.gather(*(self.connection.call("XLEN", stream) for stream in self.streams))
        now_ms = _milliseconds(await self.connection.call("TIME"))
        # Acknowledged events are deleted, so the first that is left is the oldest not mirrored.
        oldest = min((int(first[0][0].partition(b"-")[0]) for first in firsts if first), default=now_ms)
        self.lag = RelayLag(
            max(0, now_ms - oldest), sum(lengths), round(rows_per_s, 1), now_ms, self.note or self.rebuilding
        )
        await self.connection.call("HSET", self.keys.relay_lag, self.name, msgspec.json.encode(self.lag))
        return self.lag

    async def sample(self, sql: Callable[..., Awaitable[Any]]) -> None:
        """Store one measure of the whole system."""
        queues = await self.inspector.queues()
        indexes = [self.keys.deadlines(shard) for shard in range(self.keys.shards)]
        living = await asyncio.gather(*(self.connection.call("ZCOUNT", index, "-inf", "(+inf") for index in indexes))
        durations, finished = sorted(self._durations), self._finished
        self._durations, self._finished = [], 0
        measured = Sample(
            at=_slot(timezone.now()),
            finished=finished,
            p50_ms=percentile(durations, 0.5),
            p95_ms=percentile(durations, 0.95),
            queue_lag=sum(queue.waiting for queue in queues),
            running=sum(living),
            relay_lag_ms=self.lag.lag_ms,
        )
        await sql(_store, measured)
        with suppress(ServerUnavailable, ResponseError):
            await type_courses.write(self.connection, await self.inspector.agents(), queues, SAMPLE_S)
        await live.publish_async(["overview"])

    async def leave(self) -> None:
        """Take this relay's report away when it stops."""
        with suppress(ServerUnavailable, ResponseError):
            await self.connection.call("HDEL", self.keys.relay_lag, self.name)


def _milliseconds(clock: list[bytes]) -> int:
    return int(clock[0]) * 1000 + int(clock[1]) // 1000


def percentile(ordered: list[int], share: float) -> float | None:
    """The value below which a share of an ordered list lies (nearest rank), or nothing for an empty list."""
    if not ordered:
        return None
    return float(ordered[max(0, min(len(ordered) - 1, int(len(ordered) * share + 0.5) - 1))])


def _slot(now: dt.datetime) -> dt.datetime:
    """Relays that run side by side measure into the same slots."""
    return now.replace(second=now.second - now.second % SAMPLE_S, microsecond=0)


def _store(measured: Sample) -> None:
    measured.open_escalations = Escalation.objects.filter(state="open").count()
    names = ["at", "finished", "p50_ms", "p95_ms", "queue_lag", "open_escalations", "running", "relay_lag_ms"]
    values = [getattr(measured, name) for name in names]
    values[0] = connection.ops.adapt_datetimefield_value(measured.at)
    table = Sample._meta.db_table
    keep = [f"{name} = COALESCE(excluded.{name}, {table}.{name})" for name in names[2:]]
    sql = (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"  # noqa: S608 our names
        f" ON CONFLICT (at) DO UPDATE SET finished = {table}.finished + excluded.finished, {', '.join(keep)}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
