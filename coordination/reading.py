"""What a host reads: new and resumed workflows, and its inbox. What was deleted under it is made again.

A blocked read belongs to one life of its host. When a new life begins it ends at once: what it would
still bring belongs to an incarnation that nobody knows any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import ResponseError

from coordination import journal as j
from coordination.errors import ServerUnavailable
from coordination.keys import COORDINATORS_GROUP
from coordination.streams import ensure_groups, ignore, no_group, pace_s

if TYPE_CHECKING:
    from coordination.host import Host
    from coordination.sweeper import Sweeper

log = structlog.get_logger(__name__)

_BLOCK_MS = 2_000
_PATIENCE_MS = 50  # while new work has to wait
_MOST_READ = 64  # entries of one stream in one read
_MOST_STARTING = 512  # workflows taken up at once, so that a backlog does not keep the loop from the others
_TRIM = 256  # entries of the inbox that are read before they are trimmed
_AT_ONCE = 3  # vanished groups are made anew so often in a row before a pause


class Reader:
    """Reads for one host."""

    def __init__(self, host: Host, sweeper: Sweeper) -> None:
        self._host = host
        self._sweeper = sweeper
        self._blocked: set[asyncio.Task[Any]] = set()

    async def prepare(self) -> None:
        """Make every stream and its group exist; what a lost stream named is looked at again."""
        keys = self._host.connection.keys
        for make in (keys.workflows, keys.resumes):
            streams = [make(shard) for shard in range(keys.shards)]
            made = await ensure_groups(self._host.connection, streams, COORDINATORS_GROUP)
            for shard in (streams.index(stream) for stream in made):
                await self._sweeper.look_at_all(shard)

    def begin_anew(self) -> None:
        """End the blocked reads of a former life."""
        for read in self._blocked:
            read.cancel()

    async def fetch(self) -> None:
        """Take up resumed and new workflows while there is room, until cancelled.

        New workflows wait while entries of a dead host are taken over, and while many are at work.
        """
        host, keys, tries = self._host, self._host.connection.keys, 0
        shards = range(keys.shards)
        streams = [keys.resumes(shard) for shard in shards] + [keys.workflows(shard) for shard in shards]
        while True:
            await host.beating.wait()
            room, reader = min(host.room(), _MOST_STARTING - len(host.starting)), host.id
            if room <= 0:
                await asyncio.sleep(0.01)
                continue
            new = 0 if host.rescue.under_way else min(room, host.room_at_work())
            wanted, block_ms = (streams, _BLOCK_MS) if new else (streams[: keys.shards], _PATIENCE_MS)
            count = max(1, min(_MOST_READ, (new or room) // len(wanted)))
            try:
                answer = await self._read(
                    "XREADGROUP", "GROUP", COORDINATORS_GROUP, reader, "COUNT", count, "BLOCK", block_ms,
                    "STREAMS", *wanted, *[">"] * len(wanted),
                )  # fmt: skip
            except (ServerUnavailable, ResponseError) as error:
                await self._heal(error, tries)
                tries += 1
                continue
            tries = 0
            if reader != host.id:
                continue  # read in a former life: pending with a dead host now, and taken over as such
            came = 0
            for stream, entries in answer or []:
                came += len(entries)
                for entry, fields in entries:
                    name = fields[1].decode(errors="replace")  # junk names a workflow that does not exist, and goes
                    host.take_up_soon(name, ("r" if b"resumes:" in stream else "w") + entry.decode())
            await asyncio.sleep(pace_s(came, len(host.executions)))

    async def listen(self) -> None:
        """Hand the inbox's entries to the workflows, until cancelled.

        What was read is trimmed many entries at a time, always right after a read, because an inbox that was deleted
        may begin with smaller ids than were read before: after the server's clock was set back. For the same reason a
        quiet inbox is looked at from its beginning; what that brings for the second time changes nothing.
        """
        host, read_to, untrimmed = self._host, b"0", 0
        while True:
            inbox = host.connection.keys.inbox(host.id)
            try:
                answer = await self._read("XREAD", "COUNT", 1000, "BLOCK", _BLOCK_MS, "STREAMS", inbox, read_to)
            except (ServerUnavailable, ResponseError) as error:
                await self._heal(error, _AT_ONCE)
                continue
            for _, entries in answer or []:
                for _, fields in entries:
                    self._hand_on(fields)
                untrimmed = _TRIM if read_to == b"0" else untrimmed + len(entries)
                read_to = entries[-1][0]
                if untrimmed >= _TRIM:
                    untrimmed = 0
                    host.connection.call("XTRIM", inbox, "MINID", after(read_to)).add_done_callback(ignore)
                if pause_s := pace_s(len(entries), len(host.executions)):
                    await asyncio.sleep(pause_s)
            if not answer:
                read_to = b"0"

    async def _read(self, *command: Any) -> Any:
        """Run a blocking read; None when its life ended meanwhile."""
        read = asyncio.ensure_future(self._host.connection.blocking(*command))
        self._blocked.add(read)
        try:
            return await read
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return None
        finally:
            self._blocked.discard(read)

    async def _heal(self, error: Exception, tries: int) -> None:
        """Make vanished groups anew at once, but pause when that does not help; wait for a server that is away."""
        vanished = isinstance(error, ResponseError) and no_group(error)
        if vanished:
            log.warning("streams were gone; making them again", action="streams_healed", error=str(error)[:200])
        elif isinstance(error, ResponseError):
            log.error(str(error), action="refused")
        if not vanished or tries >= _AT_ONCE:
            await asyncio.sleep(self._host.retry_s())
        if isinstance(error, ResponseError):
            with contextlib.suppress(ServerUnavailable, ResponseError):
                await self.prepare()

    def _hand_on(self, fields: list[bytes]) -> None:
        item = None
        if len(fields) >= 8:
            item = j.Numbered(int(fields[3]), int(fields[5]), j.decode(fields[7]))
        self._host.deliver(fields[1].decode(), item)


def after(entry: bytes) -> str:
    """The smallest id that is larger than an entry's."""
    ms, _, number = entry.decode().partition("-")
    return f"{ms}-{int(number) + 1}"
