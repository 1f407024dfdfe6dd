"""A host's heartbeat, in a thread and on a connection of its own.

Load in the host's event loop delays no beat; but a loop that gives no sign of life for a second's beats
ends them, because what cannot run its workflows must not keep them. The silence is counted in beats,
not in time: a machine that gives the whole process no time proves nothing about its loop.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable

import msgspec
from redis.exceptions import ResponseError

from coordination.config import Config
from coordination.connection import Connection, beat_limit_s
from coordination.errors import ServerUnavailable
from coordination.scripts import STALE
from coordination.streams import INBOX_TTL_S

_SILENT_S = 1.0  # so many beats' time without a sign of the host's loop, and no more is given
_TELL_EVERY = 5  # beats between two descriptions of the host


class Beat(msgspec.Struct, frozen=True):
    """What one beat brought."""

    host: str  # the incarnation that beat
    at: float  # monotonic clock, seconds
    counts: dict[str, int] = {}  # of every live host
    now_ms: int = 0  # the server's clock, read within ``took_s`` before ``at``
    took_s: float = 0.0
    stale: bool = False  # peers have declared this host dead
    error: Exception | None = None  # the server could not take it
    generation: int = 0  # of the connection: another one, and another server answers, or the same started anew


class Silence:
    """Counts the heart's own beats without a sign of its host's loop.

    Args:
        interval_s: Between two beats.
    """

    def __init__(self, interval_s: float) -> None:
        self._most = max(1, math.ceil(_SILENT_S / interval_s))
        self._sign = 0.0
        self._count = 0

    def is_too_long(self, sign: float) -> bool:
        """Note a beat that is due now, and when the loop last gave a sign; whether it must not be given."""
        self._count = self._count + 1 if sign == self._sign else 0
        self._sign = sign
        return self._count >= self._most


class Heart:
    """Beats for one host until it is stopped.

    Args:
        config: Where the server is, and how often to beat.
        host: The incarnation to beat for.
        sign: When the host's loop last gave a sign, by the monotonic clock.
        describe: What the host says of itself, JSON.
        report: Called in the host's loop with every beat.
    """

    def __init__(
        self,
        config: Config,
        host: str,
        sign: Callable[[], float],
        describe: Callable[[], bytes],
        report: Callable[[Beat], None],
    ) -> None:
        self._config = config
        self._host = host
        self._sign = sign
        self._describe = describe
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._beats = 0  # of this incarnation
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def reborn(self, host: str) -> None:
        """Beat for a new incarnation from now on."""
        self._beats = 0
        self._host = host

    async def stop(self) -> None:
        """End the beats; the last one is over when this returns."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    def _main(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        connection = Connection.of(self._config)
        connection.limit_s = beat_limit_s(self._config, self._config.heartbeat_s)
        stale, silence = "", Silence(self._config.heartbeat_s)
        try:
            while not self._stopping.is_set():
                started, host = time.monotonic(), self._host
                if not silence.is_too_long(self._sign()) and host != stale:
                    beat = await self._beat(connection, host)
                    if beat.stale:
                        stale = host
                    self._loop.call_soon_threadsafe(self._report, beat)
                await asyncio.sleep(max(0.0, self._config.heartbeat_s - (time.monotonic() - started)))
        except RuntimeError:
            if not self._loop.is_closed():  # the host has gone without stopping its heart
                raise
        finally:
            await connection.close()

    async def _beat(self, connection: Connection, host: str) -> Beat:
        keys, began = connection.keys, time.monotonic()
        said = self._describe() if self._beats % _TELL_EVERY == 0 else b""
        try:
            first = "0" if self._beats else "1"
            answer = await connection.script("beat", [keys.beats, keys.hosts, keys.beat_times], [host, said, first])
            if answer[0] == STALE:
                return Beat(host, time.monotonic(), stale=True)
            if said:
                await connection.call("EXPIRE", keys.inbox(host), INBOX_TTL_S)
        except (ServerUnavailable, ResponseError) as error:  # away, or full, read-only, not able to write its disk
            return Beat(host, time.monotonic(), error=error)
        if host == self._host:
            self._beats += 1
        counts = {name.decode(): int(count) for name, count in zip(answer[2::2], answer[3::2], strict=True)}
        at = time.monotonic()
        return Beat(host, at, counts, now_ms=answer[1], took_s=at - began, generation=connection.generation)
