"""The watchdog: every host watches its peers, and takes over the workflows of one that died.

Suspicion counts the observer's own successful heartbeats during which a peer's count stood still;
it starts again after a gap of the observer's own. So a stalled server, a stalled observer or a
clock jump declares nobody dead. A peer that is declared dead wrongly loses its workflows to a
higher epoch, learns it at its next heartbeat, and starts anew: it costs time, never a result.

Invariant 6: nothing strands.
Invariant 11: safety never depends on time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog
from redis.exceptions import ResponseError

from coordination.errors import ServerUnavailable
from coordination.heart import Beat, Heart
from coordination.leases import Lease

if TYPE_CHECKING:
    from coordination.host import Host

log = structlog.get_logger(__name__)

_SLICE = 100  # entries taken over by one script
_LISTED = 100  # workflows named in the event of a takeover
_PROMPT_S = 1.0  # a slower beat tells nothing of the server's clock

Taken = tuple[str, int, int]  # workflow, its new epoch, ms since its last checkpoint (-1: it had none)


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

    def __init__(self, host: Host, sign: Callable[[], float]) -> None:
        config = host.config
        self._host = host
        self._connection = host.connection
        self._suspicion = Suspicion(config.suspicion_beats, config.heartbeat_s * 3)
        self._heart = Heart(config, host.id, sign, self._describe, self._seen)
        self._beats: asyncio.Queue[Beat] = asyncio.Queue()
        self._said = msgspec.json.encode(host.describe())
        self._rescue: asyncio.Task[None] | None = None
        self._generation = 0
        self.first_beat = asyncio.Event()

    async def run(self) -> None:
        """Beat, and see to what the beats tell, until cancelled."""
        self._heart.start()
        try:
            while True:
                await self._look(await self._beats.get())
        finally:
            await self._heart.stop()

    def _describe(self) -> bytes:
        return self._said

    def _seen(self, beat: Beat) -> None:
        self._said = msgspec.json.encode(self._host.describe())
        self._beats.put_nowait(beat)

    async def _look(self, beat: Beat) -> None:
        host = self._host
        if beat.host != host.id:
            return
        if beat.error is not None:
            if host.healthy:
                log.error(str(beat.error), action="server_lost")
            host.healthy = False
            return
        if beat.stale:
            await host.fenced()
            self._said = msgspec.json.encode(host.describe())
            self._heart.reborn(host.id)
            return
        if beat.took_s < _PROMPT_S:
            host.note_beat(beat.now_ms, beat.at)
        anew, self._generation = beat.generation != self._generation, beat.generation
        if not host.healthy:
            log.info("Redis answers again", action="server_back")
        if anew or not host.healthy:
            host.recovered(queues_lost=anew)
        counts = {name: count for name, count in beat.counts.items() if name != host.id}
        if not host.peers <= counts.keys():  # one has stopped, or another declared it dead: see what it leaves
            self.rescue_soon()
        host.peers = set(counts)
        self.first_beat.set()
        for name, count, silent_s in self._suspicion.observe(counts, beat.at):
            try:
                await self._declare(name, count, silent_s)
            except (ServerUnavailable, ResponseError) as error:
                log.debug(str(error), action="not_declared", host=name)

    async def _declare(self, name: str, count: int, silent_s: float) -> None:
        keys = self._connection.keys
        won = await self._connection.script(
            "declare_dead",
            [keys.beats, keys.hosts, keys.host_events, keys.beat_times],
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
        taken: dict[str, list[Taken]] = {}
        shards = list(range(host.connection.keys.shards))
        random.shuffle(shards)  # so that peers do not queue for the same shard
        for shard in shards:
            for mark, stream in (
                ("r", host.connection.keys.resumes(shard)),
                ("w", host.connection.keys.workflows(shard)),
            ):
                for dead in await self._orphaned(stream):
                    taken.setdefault(dead, []).extend(await self._take(stream, mark, dead))
        for dead, workflows in taken.items():
            await host.suspects.clear(dead)
            if workflows:
                host.takeovers += len(workflows)
                await self._tell(dead, workflows, int((time.monotonic() - started) * 1000))

    async def _orphaned(self, stream: str) -> list[str]:
        answer = await self._host.connection.call("XPENDING", stream, "coordinators")
        consumers = [row[0].decode() for row in answer[3] or []]
        strangers = [name for name in consumers if name != self._host.id and name not in self._host.peers]
        if not strangers:
            return []
        beats = await self._host.connection.call("HMGET", self._host.connection.keys.beats, *strangers)
        return [name for name, beat in zip(strangers, beats, strict=True) if beat is None]

    async def _take(self, stream: str, mark: str, dead: str) -> list[Taken]:
        host, taken = self._host, list[Taken]()
        suspect = await host.suspects.of(dead)
        while room := host.room():
            found = await host.connection.script("take_over", [stream], [dead, host.id, min(room, _SLICE)])
            entries = [
                (mark + entry.decode(), workflow.decode(errors="replace"))
                for entry, workflow in zip(found[::2], found[1::2], strict=True)
            ]
            leases = await asyncio.gather(
                *(host.take_up(workflow, entry, dead, workflow == suspect) for entry, workflow in entries),
                return_exceptions=True,
            )
            taken += [
                _taken(workflow, lease if isinstance(lease, Lease) else None)
                for (_, workflow), lease in zip(entries, leases, strict=True)
            ]
            if len(entries) < min(room, _SLICE):
                break
        return taken

    async def _tell(self, dead: str, workflows: list[Taken], took_ms: int) -> None:
        now_ms, count = self._host.now_ms(), len(workflows)
        log.info("took over", action="takeover", host=dead, workflows=count, took_ms=took_ms)
        await self._host.connection.call(
            "XADD", self._host.connection.keys.host_events, "MAXLEN", "~", 10_000, "*", "k", "lost", "host", dead,
            "by", self._host.id, "workflows", count, "silent_ms", 0, "took_ms", took_ms, "t", now_ms,
            "taken", msgspec.json.encode(workflows[:_LISTED]),
        )  # fmt: skip


def _taken(workflow_id: str, lease: Lease | None) -> Taken:
    """What is told of a workflow that was taken over; the last entry of its journal is the takeover itself."""
    if lease is None:
        return workflow_id, 0, -1
    before = lease.entries[-2].at_ms if len(lease.entries) > 1 else lease.now_ms + 1
    return workflow_id, lease.epoch, lease.now_ms - before
