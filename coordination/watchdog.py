"""The watchdog: every host watches its peers, and has the workflows of one that died taken over.

Suspicion counts the observer's own successful heartbeats during which a peer's count stood still;
it starts again after a gap of the observer's own. So a stalled server, a stalled observer or a
clock jump declares nobody dead. A peer that is declared dead wrongly loses its workflows to a
higher epoch, learns it at its next heartbeat, and starts anew: it costs time, never a result.

Invariant 11: safety never depends on time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog
from redis.exceptions import ResponseError

from coordination.errors import ServerUnavailable
from coordination.heart import Beat, Heart
from coordination.streams import expire_inbox

if TYPE_CHECKING:
    from coordination.host import Host

log = structlog.get_logger(__name__)

_PROMPT_S = 1.0  # a slower beat tells nothing of the server's clock


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
    """Beats for one host, and declares peers dead that stopped."""

    def __init__(self, host: Host, sign: Callable[[], float]) -> None:
        config = host.config
        self._host = host
        self._connection = host.connection
        self._suspicion = Suspicion(config.suspicion_beats, config.heartbeat_s * 3)
        self._heart = Heart(config, host.id, sign, self._describe, self._seen)
        self._beats: asyncio.Queue[Beat] = asyncio.Queue()
        self._said = msgspec.json.encode(host.describe())
        self._generation = 0

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
        gone, host.peers = host.peers - counts.keys(), set(counts)
        host.beating.set()
        if gone:  # one has stopped, or another declared it dead: see what it leaves
            host.rescue.soon()
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
            expire_inbox(self._connection, name)
            self._host.rescue.soon()
