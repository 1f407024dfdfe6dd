"""Takes tasks from the queues: never more than there are free slots, high before normal before low."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog
from redis.exceptions import RedisError, ResponseError

from agents.acknowledgement import Acknowledger
from agents.execution import Executor
from agents.handlers import Handler
from agents.ledger import Ledger
from agents.outage import Outage, backoff_s, heard
from coordination import tasks
from coordination.connection import Connection
from coordination.errors import InvalidPayload, TryAgain
from coordination.keys import AGENTS_GROUP, PRIORITIES
from coordination.refusals import refusal
from coordination.streams import ensure_groups, no_group
from coordination.tasks import Claim, parse

BLOCK_MS = 400  # an idle worker looks up this often, so a pause and a stop take effect within it
RESCAN_S = 10.0
QUARANTINE_LENGTH = 1_000  # entries; older ones are dropped

log = structlog.get_logger("agents")

Entry = tuple[str, bytes, list[bytes]]  # queue, id, fields


class Fetcher:
    """Reads the queues of an instance's types and starts what it reads.

    Entries that a lost reply left pending here are found again: after each failure, and every ten seconds.

    Redis:
        ``fetch_tasks`` for what waits, which is claimed with it; one blocked ``XREADGROUP`` when nothing does.
    """

    def __init__(
        self,
        connection: Connection,
        ledger: Ledger,
        handlers: Mapping[str, Handler],
        executor: Executor,
        acknowledger: Acknowledger,
        outage: Outage,
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._handlers = handlers
        self._executor = executor
        self._acknowledger = acknowledger
        self._outage = outage
        self._found: deque[Entry] = deque()  # pending here, not yet in a slot
        self._asides: set[asyncio.Task[None]] = set()
        self._turn = 0
        self._more = True  # whether a look without waiting is worth it
        self._hot: set[str] = set()  # types that gave all that was asked of them
        self._scanned_at = time.monotonic()
        self.paused: frozenset[str] = frozenset()
        self.draining = False
        self.stopping = asyncio.Event()

    def queues(self, task_type: str) -> list[str]:
        """A type's queues in the order they are read; the first is this instance's own."""
        keys = self._connection.keys
        own = keys.instance_queue(task_type, self._ledger.instance)
        return [own, *(keys.agent_queue(task_type, priority) for priority in PRIORITIES)]

    async def prepare(self) -> None:
        """Make every queue and its group exist."""
        streams = [queue for task_type in self._handlers for queue in self.queues(task_type)]
        await ensure_groups(self._connection, streams, AGENTS_GROUP)

    async def run(self) -> None:
        """Fetch and start tasks until ``stopping`` is set; then give back what was not started."""
        tries = 0
        while not self.stopping.is_set():
            try:
                await self._turn_once()
            except (TryAgain, RedisError) as error:
                self._ledger.missed.set()
                await self._heal(error, tries)
                tries += 1
            else:
                tries = 0
        try:
            await self._start_or_give_back(await self._unseen())
            await self._release(list(self._found))
        except (TryAgain, RedisError) as error:
            log.warning("unstarted tasks are left for others to take over", action="task.left", error=str(error))
        self._found.clear()

    async def _turn_once(self) -> None:
        if self._ledger.missed.is_set() or time.monotonic() - self._scanned_at > RESCAN_S:
            await self._rescan()
        while self._found and self._ledger.free() > 0:
            self._start(self._found.popleft())
        active = self._active()
        if self._ledger.free() <= 0 or not active:
            await self._start_or_give_back(await self._unseen())
            await self._wait_for_slot()
            self._more = True
        elif self._more:
            self._more = await self._fetch(active)
        else:
            self._more = await self._block(active)

    def _active(self) -> list[str]:
        """The types that may be fetched now and have room, each turn beginning with another."""
        if self.draining or self._found:
            return []
        free = self._ledger.free_for
        types = [name for name, handler in self._handlers.items() if name not in self.paused and free(handler) > 0]
        self._turn += 1
        cut = self._turn % len(types) if types else 0
        return types[cut:] + types[:cut]

    async def _wait_for_slot(self) -> None:
        self._ledger.freed.clear()
        if self._active() and self._ledger.free() > 0:
            return
        await heard(self._ledger.freed, BLOCK_MS / 1000)

    # --- reading ------------------------------------------------------------------------

    async def _fetch(self, active: list[str]) -> bool:
        """Start what waits; returns whether more may be waiting."""
        quotas = self._quotas(active)
        replies = await asyncio.gather(*(self._ask(name, quotas[name]) for name in quotas), return_exceptions=True)
        failure: BaseException | None = None
        for (name, quota), reply in zip(quotas.items(), replies, strict=True):
            if isinstance(reply, BaseException):
                failure = reply
                continue
            for entry, claim in reply:
                self._start(entry, claim)
            self._note(name, len(reply) >= quota)
        if failure is not None:
            raise failure
        self._outage.succeeded()
        return len(quotas) < len(active) or not self._hot.isdisjoint(quotas)

    def _quotas(self, active: list[str]) -> dict[str, int]:
        """How many tasks to ask of each type: most of those that had most, together no more than fit into slots."""
        free = self._ledger.free()
        processes = self._ledger.processes - self._ledger.in_processes
        asked = active[:free]
        hot = sum(name in self._hot for name in asked)
        share = (free - len(asked) + hot) // hot if hot else 1
        quotas = {}
        for name in asked:
            quota = share if name in self._hot else 1
            if self._handlers[name].kind == "process":
                quota = min(quota, processes)
                processes -= quota
            if name in self._ledger.ramps:
                quota = min(quota, self._ledger.free_for(self._handlers[name]))
            if quota > 0:
                quotas[name] = quota
        return quotas

    def _note(self, task_type: str, more: bool) -> None:
        if more:
            self._hot.add(task_type)
        else:
            self._hot.discard(task_type)

    async def _ask(self, task_type: str, most: int) -> list[tuple[Entry, Claim | None]]:
        queues, instance = self.queues(task_type), self._ledger.instance
        claimed = task_type if self._connection.one_server else ""
        reply = await self._connection.script("fetch_tasks", queues, [AGENTS_GROUP, instance, most, claimed])
        entries = [
            (
                (queues[index - 1], entry_id, fields),
                Claim("claimed", claimed_ms, instance=instance) if claimed_ms else None,
            )
            for index, found in reply[1:]
            for entry_id, fields, claimed_ms in found
        ]
        if reply[0]:
            for entry, claim in entries:
                self._start(entry, claim)
            raise refusal(reply[0].decode()) or ResponseError(reply[0].decode())
        return entries

    async def _block(self, active: list[str]) -> bool:
        """Wait a moment for the next entry; what has no slot goes back. Returns whether more may be waiting."""
        streams = [queue for name in active for queue in self.queues(name)]
        count = max(1, self._ledger.free() // len(streams))
        reply = await self._connection.blocking(
            "XREADGROUP", "GROUP", AGENTS_GROUP, self._ledger.instance, "COUNT", count, "BLOCK", BLOCK_MS,
            "STREAMS", *streams, *([">"] * len(streams)),
        )  # fmt: skip
        self._outage.succeeded()
        for stream, found in reply or ():
            if len(found) >= count:
                self._hot.add(_type_of(stream))
        await self._start_or_give_back(reply or [])
        return any(len(found) >= count for _, found in reply or ())

    async def _unseen(self) -> list[Any]:
        """What blocked reads have delivered that nobody waits for any more."""
        return await self._connection.finish_blocking(AGENTS_GROUP, self._ledger.instance)

    async def _start_or_give_back(self, reply: list[Any]) -> None:
        excess = []
        for stream, found in reply:
            queue = stream.decode()
            for entry_id, fields in found:
                if self._wanted(_type_of(stream)):
                    self._start((queue, entry_id, fields))
                else:
                    excess.append((queue, entry_id, fields))
        await self._give_back(excess)

    def _wanted(self, task_type: str) -> bool:
        """Whether an entry that came late may still be started."""
        if self.stopping.is_set() or self.draining or task_type in self.paused:
            return False
        return self._ledger.free() > 0 and self._ledger.free_for(self._handlers[task_type]) > 0

    def _start(self, entry: Entry, claim: Claim | None = None) -> None:
        queue, entry_id, fields = entry
        self._ledger.known.add((queue, entry_id))
        try:
            delivery = parse(queue, entry_id, fields)
            if delivery.task_type not in self._handlers:
                raise InvalidPayload(f"Entry {entry_id.decode()} of {queue} is of type {delivery.task_type!r}.")
        except InvalidPayload as error:
            self._quarantine(entry, str(error))
            return
        self._executor.start(delivery, claim)

    # --- what went wrong --------------------------------------------------------------------

    async def _heal(self, error: Exception, tries: int) -> None:
        """Make vanished groups exist again, or wait longer with each failure."""
        if isinstance(error, ResponseError) and no_group(error) and tries < 3:
            log.warning("queues were gone; making them again", action="queue.healed", error=str(error)[:200])
            try:
                await self.prepare()
                return
            except (TryAgain, RedisError) as second:
                error = second
        self._outage.failed(error, len(self._ledger.running))
        await heard(self.stopping, backoff_s(tries))

    async def _rescan(self) -> None:
        """Find entries that are pending here and that nobody here works on."""
        self._ledger.missed.clear()
        for task_type in self._handlers:
            for queue in self.queues(task_type):
                await self._rescan_queue(queue)
        self._scanned_at = time.monotonic()

    async def _rescan_queue(self, queue: str) -> None:
        after = b"0"
        while True:
            reply = await self._connection.call(
                "XREADGROUP", "GROUP", AGENTS_GROUP, self._ledger.instance, "COUNT", 100, "STREAMS", queue, after
            )
            found = reply[0][1] if reply else []
            for entry_id, fields in found:
                if (queue, entry_id) in self._ledger.known:
                    continue
                self._ledger.known.add((queue, entry_id))
                if fields:
                    self._found.append((queue, entry_id, fields))
                else:
                    self._acknowledger.add_entry(queue, entry_id)  # trimmed or deleted under us
            if len(found) < 100:
                return
            after = found[-1][0]

    def _quarantine(self, entry: Entry, reason: str) -> None:
        task = asyncio.get_running_loop().create_task(self._set_aside(entry, reason), name="quarantine")
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    async def _set_aside(self, entry: Entry, reason: str) -> None:
        queue, entry_id, fields = entry
        log.error("entry set aside", action="task.quarantined", queue=queue, entry=entry_id.decode(), reason=reason)
        kept = [part[:65_536] for part in fields[:64]]
        try:
            await self._connection.call(
                "XADD", self._connection.keys.quarantine, "MAXLEN", "~", QUARANTINE_LENGTH, "*",
                "queue", queue, "entry", entry_id, "reason", reason, "fields", repr(kept)[:65_536],
            )  # fmt: skip
        except (TryAgain, RedisError):
            self._ledger.known.discard((queue, entry_id))
            self._ledger.missed.set()
            return
        self._acknowledger.add_entry(queue, entry_id)

    async def _release(self, entries: list[Entry]) -> None:
        """Put entries back that may have been claimed when they were read: the answer that told of it was lost."""
        for queue, entry_id, fields in entries:
            with contextlib.suppress(InvalidPayload):  # whoever reads it next sets it aside
                await tasks.release(self._connection, parse(queue, entry_id, fields), self._ledger.instance)
                self._ledger.known.discard((queue, entry_id))

    async def _give_back(self, entries: list[Entry]) -> None:
        """Put entries that were not started back on their queues."""
        by_queue: dict[str, list[bytes]] = {}
        for queue, entry_id, _ in entries:
            by_queue.setdefault(queue, []).append(entry_id)
        for queue, ids in by_queue.items():
            await self._connection.script("move_tasks", [queue, queue], [AGENTS_GROUP, self._ledger.instance, *ids])
            self._ledger.known.difference_update((queue, entry_id) for entry_id in ids)


def _type_of(queue: bytes) -> str:
    return queue.partition(b"{")[2].partition(b"}")[0].decode()
