"""The watchdog: every host watches its peers, and takes over the workflows of one that died.

Suspicion counts the observer's own successful heartbeats during which a peer's count stood still;
it starts again after a gap of the observer's own. So a stalled server, a stalled observer or a
clock jump declares nobody dead. A peer that is declared dead wrongly loses its workflows to a
higher epoch, learns it at its next heartbeat, and starts anew: it costs time, never a result.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import msgspec
import structlog
from redis.exceptions import ResponseError

from coordination.connection import Connection
from coordination.domain import HostView
from coordination.errors import ServerUnavailable
from coordination.scripts import STALE

if TYPE_CHECKING:
    from coordination.host import Host

log = structlog.get_logger(__name__)

_SLICE = 100  # entries taken over by one script
_TELL_EVERY = 5  # beats between two descriptions of oneself
_INBOX_TTL_S = 120


class _Peer:
    __slots__ = ("count", "seen_at", "still")

    def __init__(self, count: int, now: float) -> None:
        self.count = count
        self.still = 0
        self.seen_at = now


class Suspicion:
    """Counts, for each peer, the observer's beats without a sign of it.

    Args:
        beats: After so many the peer is suspected.
        gap_s: A pause of the observer's own longer than this starts every count again.
    """

    def __init__(self, beats: int, gap_s: float) -> None:
        self._beats = beats
        self._gap_s = gap_s
        self._peers: dict[str, _Peer] = {}
        self._last = 0.0

    def observe(self, counts: dict[str, int], now: float) -> list[tuple[str, int, float]]:
        """Note one successful look at all peers.

        Args:
            counts: Heartbeats of each peer so far.
            now: The observer's monotonic clock, seconds.

        Returns:
            Those to suspect: (peer, the count it stands at, seconds since its last sign).
        """
        if now - self._last > self._gap_s:
            self._peers.clear()
        self._last = now
        suspects = []
        for name, count in counts.items():
            peer = self._peers.get(name)
            if peer is None or peer.count != count:
                self._peers[name] = _Peer(count, now)
                continue
            peer.still += 1
            if peer.still >= self._beats:
                suspects.append((name, count, now - peer.seen_at))
        for name in self._peers.keys() - counts.keys():
            del self._peers[name]
        return suspects


class Watchdog:
    """Beats for one host, and takes over from peers that stopped."""

    def __init__(self, host: Host, connection: Connection) -> None:
        config = host.config
        self._host = host
        self._connection = connection  # of its own, so that no load delays a beat
        self._suspicion = Suspicion(config.suspicion_beats, config.heartbeat_s * 3)
        self._first = True
        self._beats = 0
        self._rescue: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Beat until cancelled."""
        interval_s = self._host.config.heartbeat_s
        while True:
            started = time.monotonic()
            try:
                await self.beat()
            except (ServerUnavailable, ResponseError) as error:  # away, or full, read-only, not able to write its disk
                if self._host.healthy:
                    log.error(str(error), action="server_lost")
                self._host.healthy = False
            await asyncio.sleep(max(0.0, interval_s - (time.monotonic() - started)))

    async def beat(self) -> None:
        """Give one sign of life and look at the peers'."""
        host, keys = self._host, self._connection.keys
        said = msgspec.json.encode(self._describe()) if self._beats % _TELL_EVERY == 0 else b""
        self._beats += 1
        answer = await self._connection.script(
            "beat", [keys.beats, keys.hosts], [host.id, said, "1" if self._first else "0"]
        )
        self._first = False
        if answer[0] == STALE:
            await host.fenced()
            self._first = True
            self._beats = 0
            await self.beat()
            return
        if said:
            await self._connection.call("EXPIRE", keys.inbox(host.id), _INBOX_TTL_S)
        if not host.healthy:
            log.info("Redis answers again", action="server_back")
            host.recovered()
        counts = {name.decode(): int(count) for name, count in zip(answer[1::2], answer[2::2], strict=True)}
        counts.pop(host.id, None)
        if not host.peers <= counts.keys():  # one has stopped, or another declared it dead: see what it leaves
            self.rescue_soon()
        host.peers = set(counts)
        for name, count, silent_s in self._suspicion.observe(counts, time.monotonic()):
            await self._declare(name, count, silent_s)

    def _describe(self) -> HostView:
        host = self._host
        return HostView(
            id=host.id, name=host.name, alive=True, beat_age_ms=0, held=len(host.executions),
            capacity=host.config.host_capacity, started_ms=host.started_ms, pid=host.pid, machine=host.machine,
            rss_bytes=host.memory_bytes(), version=host.version, types=host.types, takeovers=host.takeovers,
            draining=host.stopping,
        )  # fmt: skip

    async def _declare(self, name: str, count: int, silent_s: float) -> None:
        keys = self._connection.keys
        won = await self._connection.script(
            "declare_dead",
            [keys.beats, keys.hosts, keys.host_events],
            [name, count, self._host.id, int(silent_s * 1000), "lost"],
        )
        if won == 1:
            log.warning("host lost", action="host_lost", host=name, silent_ms=int(silent_s * 1000))
            self._host.peers.discard(name)
            self.rescue_soon()

    def rescue_soon(self) -> None:
        """Take over whatever no live host holds, without delaying a beat."""
        if self._rescue is None or self._rescue.done():
            self._rescue = asyncio.create_task(self._rescue_once(), name="rescue")

    async def _rescue_once(self) -> None:
        try:
            await self.rescue()
        except (ServerUnavailable, ResponseError) as error:
            log.debug(str(error), action="rescue_failed")  # the host's own round comes soon

    async def rescue(self) -> None:
        """Take over the pending entries of every consumer that is not a live host."""
        host = self._host
        if host.stopping:
            return
        started = time.monotonic()
        taken: dict[str, int] = {}
        shards = list(range(host.connection.keys.shards))
        random.shuffle(shards)  # so that peers do not queue for the same shard
        for shard in shards:
            for mark, stream in (
                ("r", host.connection.keys.resumes(shard)),
                ("w", host.connection.keys.workflows(shard)),
            ):
                for dead in await self._orphaned(stream):
                    taken[dead] = taken.get(dead, 0) + await self._take(stream, mark, dead)
        for dead, count in taken.items():
            await host.suspects.clear(dead)
            if count:
                host.takeovers += count
                await self._tell(dead, count, int((time.monotonic() - started) * 1000))

    async def _orphaned(self, stream: str) -> list[str]:
        answer = await self._host.connection.call("XPENDING", stream, "coordinators")
        consumers = [row[0].decode() for row in answer[3] or []]
        strangers = [name for name in consumers if name != self._host.id and name not in self._host.peers]
        if not strangers:
            return []
        beats = await self._host.connection.call("HMGET", self._host.connection.keys.beats, *strangers)
        return [name for name, beat in zip(strangers, beats, strict=True) if beat is None]

    async def _take(self, stream: str, mark: str, dead: str) -> int:
        host, count = self._host, 0
        suspect = await host.suspects.of(dead)
        while room := host.room():
            found = await host.connection.script("take_over", [stream], [dead, host.id, min(room, _SLICE)])
            entries = [
                (mark + entry.decode(), workflow.decode())
                for entry, workflow in zip(found[::2], found[1::2], strict=True)
            ]
            await asyncio.gather(
                *(host.take_up(workflow, entry, dead, workflow == suspect) for entry, workflow in entries),
                return_exceptions=True,
            )
            count += len(entries)
            if len(entries) < min(room, _SLICE):
                break
        return count

    async def _tell(self, dead: str, count: int, took_ms: int) -> None:
        now_ms = self._host.now_ms()
        log.info("took over", action="takeover", host=dead, workflows=count, took_ms=took_ms)
        await self._host.connection.call(
            "XADD", self._host.connection.keys.host_events, "MAXLEN", "~", 10_000, "*", "k", "lost", "host", dead,
            "by", self._host.id, "workflows", count, "silent_ms", 0, "took_ms", took_ms, "t", now_ms,
        )  # fmt: skip
