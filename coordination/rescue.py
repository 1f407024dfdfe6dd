"""Takes over what hosts that died hold: many streams at once, shared with the peers, before any new work.

A peer's entries are moved to this host and claimed under the next epoch. Streams are asked side by side,
because a busy host pays for each exchange with a turn of its event loop. Each host begins with the shards
that fall to it among the live ones; then it helps with what is left, so that nothing waits for a peer
that is slow.

Invariant 6: nothing strands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import structlog
from redis.exceptions import ResponseError

from coordination.errors import ServerUnavailable
from coordination.keys import COORDINATORS_GROUP
from coordination.leases import Lease
from coordination.streams import consumers, expire_inbox

if TYPE_CHECKING:
    from coordination.host import Host

log = structlog.get_logger(__name__)

_SLICE = 200  # entries moved by one script
_LEAST = 10  # asked for at least, because a peer may have left more than was seen
_PATIENCE_S = 1.0  # for first turns
_LISTED = 100  # workflows named in the event of a takeover
_RETIRE_S = 20.0  # between two looks for consumers of dead hosts that hold nothing

Taken = tuple[str, int, int]  # workflow, its new epoch, ms since its last checkpoint (-1: it had none)


class Place(NamedTuple):
    """A stream of entries."""

    shard: int
    mark: str  # "w" or "r", as in front of an entry's id
    stream: str


Held = dict[Place, int]  # how many entries of a stream a dead host holds


class Rescue:
    """Takes over for one host.

    Attributes:
        under_way: Whether workflows of a dead host are being taken over now; new work waits meanwhile.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._one = asyncio.Lock()
        self._wanted = False
        self._task: asyncio.Task[None] | None = None
        self._over: asyncio.Task[None] | None = None
        self._retire_at = 0.0
        self.under_way = False

    def soon(self) -> None:
        """Take over whatever no live host holds, beside what else is done; once more when one is under way."""
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._while_wanted(), name="rescue")

    async def stop(self) -> None:
        """Begin no further round; what was moved here and not claimed is found by the peers."""
        tasks = [task for task in (self._task, self._over) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _while_wanted(self) -> None:
        while self._wanted:
            self._wanted = False
            try:
                await self.run()
            except (ServerUnavailable, ResponseError) as error:
                log.debug(str(error), action="rescue_failed")  # the host's own round comes soon

    async def run(self) -> None:
        """Take over the pending entries of every consumer that is not a live host."""
        async with self._one:
            orphaned = await self._orphaned()
            if not orphaned:
                return
            self.under_way = True
            if self._over is not None:
                self._over.cancel()
            try:
                await asyncio.gather(*(self._take_over(dead, held) for dead, held in orphaned.items()))
            finally:
                self._over = asyncio.create_task(self._end(), name="rescued")

    async def retire(self) -> None:
        """Now and then let the streams that fall to this host forget dead hosts that hold nothing there."""
        connection, keys = self._host.connection, self._host.connection.keys
        if time.monotonic() < self._retire_at:
            return
        self._retire_at = time.monotonic() + _RETIRE_S
        shards = [shard for shard in range(keys.shards) if falls_to(self._host, shard)]
        streams = [stream(shard) for shard in shards for stream in (keys.workflows, keys.resumes)]
        known = await asyncio.gather(*(consumers(connection, stream, COORDINATORS_GROUP) for stream in streams))
        for dead in await self._dead(set().union(*known)):
            left = [stream for stream, names in zip(streams, known, strict=True) if dead in names]
            leave = [COORDINATORS_GROUP, dead]
            await asyncio.gather(*(connection.script("retire_consumer", [stream], leave) for stream in left))

    async def _end(self) -> None:
        """Let new work begin again once what was taken over has made its first turn."""
        await self._first_turns()
        async with self._one:  # a round that has begun meanwhile may find nothing, and then ends nothing
            self.under_way = False

    async def _orphaned(self) -> dict[str, Held]:
        """What consumers hold that are no live hosts, by consumer."""
        host, keys = self._host, self._host.connection.keys
        places = [Place(shard, "r", keys.resumes(shard)) for shard in range(keys.shards)]
        places += [Place(shard, "w", keys.workflows(shard)) for shard in range(keys.shards)]
        answers = await asyncio.gather(
            *(host.connection.call("XPENDING", place.stream, COORDINATORS_GROUP) for place in places)
        )
        found: dict[str, Held] = {}
        for place, answer in zip(places, answers, strict=True):
            for consumer, count in answer[3] or []:
                found.setdefault(consumer.decode(), {})[place] = int(count)
        return {name: found[name] for name in await self._dead(found)}

    async def _dead(self, consumers: Iterable[str]) -> list[str]:
        """Those that are no live hosts."""
        host = self._host
        strangers = [name for name in consumers if name != host.id and name not in host.peers]
        beats = await host.connection.call("HMGET", host.connection.keys.beats, *strangers) if strangers else []
        return [name for name, beat in zip(strangers, beats, strict=True) if beat is None]

    async def _take_over(self, dead: str, held: Held) -> None:
        host, began, taken = self._host, time.monotonic(), list[Taken]()
        patient = True
        while held:
            places = self._mine(held)
            if patient and not places:  # peers may be on their way to the rest
                await self._first_turns()
                patient = False
            asked = self._asked(places or list(held), held)
            if not asked:
                break
            moving = asyncio.gather(*(self._move(place, dead, most) for place, most in asked.items()))
            suspect, moved = await asyncio.gather(host.suspects.of(dead), moving)
            for (place, most), entries in zip(asked.items(), moved, strict=True):
                held[place] -= len(entries)
                if len(entries) < most:
                    del held[place]
            found = [entry for entries in moved for entry in entries]
            leases = await asyncio.gather(
                *(host.take_up(workflow, entry, dead, workflow == suspect) for entry, workflow in found)
            )
            taken += [_taken(workflow, lease) for (_, workflow), lease in zip(found, leases, strict=True)]
        await host.suspects.clear(dead)
        expire_inbox(host.connection, dead)
        if taken:
            host.takeovers += len(taken)
            await self._tell(dead, taken, int((time.monotonic() - began) * 1000))

    def _mine(self, held: Held) -> list[Place]:
        """The streams that fall to this host among the live ones."""
        return [place for place in held if falls_to(self._host, place.shard)]

    def _asked(self, places: list[Place], held: Held) -> Held:
        """How many entries to move now from each stream; none when there is no room."""
        asked, room = Held(), 0 if self._host.stopping else self._host.room()
        for place in places:
            if most := min(room, _SLICE, max(_LEAST, held[place])):
                asked[place] = most
                room -= most
        return asked

    async def _first_turns(self) -> None:
        """Wait until what was taken up has made its first turn, for a second at most."""
        if self._host.starting:
            await asyncio.wait(self._host.starting, timeout=_PATIENCE_S)

    async def _move(self, place: Place, dead: str, most: int) -> list[tuple[str, str]]:
        """Move entries of a dead host here; gives each with its mark, and its workflow."""
        found = await self._host.connection.script("take_over", [place.stream], [dead, self._host.id, most])
        return [
            (place.mark + entry.decode(), workflow.decode(errors="replace"))
            for entry, workflow in zip(found[::2], found[1::2], strict=True)
        ]

    async def _tell(self, dead: str, workflows: list[Taken], took_ms: int) -> None:
        now_ms, count = self._host.now_ms(), len(workflows)
        log.info("took over", action="takeover", host=dead, workflows=count, took_ms=took_ms)
        await self._host.connection.call(
            "XADD", self._host.connection.keys.host_events, "MAXLEN", "~", 10_000, "*", "k", "lost", "host", dead,
            "by", self._host.id, "workflows", count, "silent_ms", 0, "took_ms", took_ms, "t", now_ms,
            "taken", msgspec.json.encode(workflows[:_LISTED]),
        )  # fmt: skip


def falls_to(host: Host, shard: int) -> bool:
    """Whether a host is the first, of those that it knows to be alive, to look after a shard."""
    hosts = sorted({host.id, *host.peers})
    return hosts[shard % len(hosts)] == host.id


def _taken(workflow_id: str, lease: Lease | None) -> Taken:
    """What is told of a workflow that was taken over; the last entry of its journal is the takeover itself."""
    if lease is None:
        return workflow_id, 0, -1
    before = lease.entries[-2].at_ms if len(lease.entries) > 1 else lease.now_ms + 1
    return workflow_id, lease.epoch, lease.now_ms - before
