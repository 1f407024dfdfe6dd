"""Gives the work of dead instances to living ones, promptly, and never that of a slow but living one.

What it may get wrong: an instance whose process or event loop stands still for longer than the
suspicion time is declared dead although it may wake up. Its tasks then run twice, but a step
settles once, and the sleeper takes a new name when it wakes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec
import structlog
from redis.exceptions import RedisError, ResponseError

from agents.handlers import Handler
from agents.ledger import Ledger
from agents.registration import bury
from agents.routing import Router
from coordination.connection import Connection
from coordination.domain import FINAL_STATES, AgentView
from coordination.errors import InvalidPayload, TryAgain
from coordination.keys import AGENTS_GROUP, PRIORITIES
from coordination.registry import Registry
from coordination.streams import consumers
from coordination.tasks import parse

SWEEP_S = 5.0  # between two looks at the same orphan
AUDIT_S = 10.0  # between two looks for consumers that nobody knows
MOST_BURIED = 50  # that are remembered for operators
GRACE_MS = 60_000  # an orphan's queues are looked at for this long, because a task may still be addressed to it
_BATCH = 200

log = structlog.get_logger("agents")

Orphan = tuple[str, str]  # instance, task type


class Reclaimer:
    """Buries silent instances, moves what they held to the shared high queue, re-routes what was addressed to them.

    Redis:
        An entry moves by one script that checks its holder, so two reclaimers cannot both move it.
    """

    def __init__(
        self,
        connection: Connection,
        ledger: Ledger,
        registry: Registry,
        router: Router,
        handlers: Mapping[str, Handler],
        is_draining: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._registry = registry
        self._router = router
        self._handlers = handlers
        self._is_draining = is_draining
        self._swept: dict[Orphan, float] = {}
        self._strangers: dict[tuple[str, str], int] = {}  # (queue, consumer) -> audits that saw it unregistered
        self._audited_at = time.monotonic()
        self._present: frozenset[str] = frozenset()  # instances, when the unrouted queues were looked through last
        self._sorted_at = -SWEEP_S
        self.looked = asyncio.Event()  # set after each look at the registry

    async def run(self) -> None:
        """Work after each look at the registry, until cancelled."""
        while True:
            await self.looked.wait()
            self.looked.clear()
            try:
                await self.step()
            except (TryAgain, RedisError) as error:
                log.debug("reclaim interrupted", action="agent.reclaim", error=str(error))
            except Exception:  # the tasks of this instance have nothing to do with it
                log.exception("a look after other agents failed", action="bug")

    async def step(self) -> None:
        """One round: bury, sweep, and now and then audit."""
        for instance in self._registry.suspects():
            if instance != self._ledger.instance:
                await self._bury(instance)
        now = time.monotonic()
        present = frozenset(self._registry.views)
        if present != self._present or now - self._sorted_at >= SWEEP_S:
            self._present, self._sorted_at = present, now
            for task_type in self._handlers:
                await self._route(self._connection.keys.unrouted(task_type), task_type)
        for orphan, buried_ms in list(self._registry.orphans.items()):
            if orphan[1] in self._handlers and now - self._swept.get(orphan, -SWEEP_S) >= SWEEP_S:
                self._swept[orphan] = now
                await self._sweep(orphan, buried_ms)
        self._swept = {orphan: at for orphan, at in self._swept.items() if now - at < GRACE_MS / 500}
        if self._is_draining() and not self._ledger.missed.is_set():  # else some of them may be claimed here
            for task_type in self._handlers:
                await self._reroute(self._ledger.instance, task_type)
        if now - self._audited_at >= AUDIT_S:
            self._audited_at = now
            await self._audit()

    async def _bury(self, instance: str) -> None:
        view, beat = self._registry.views.get(instance), self._registry.beats.get(instance)
        if beat is None:  # buried by another, since this round began
            return
        types = view.types if view else list(self._handlers)
        if await bury(self._connection, instance, beat, types) == 1:
            silent_ms = view.beat_age_ms if view else 0
            if view is not None:
                await self._remember(view)
            log.warning(
                "agent is dead; its tasks go to others", action="agent.lost", agent=instance, silent_ms=silent_ms
            )
        now = self._registry.now_ms
        for task_type in types:
            self._registry.orphans.setdefault((instance, task_type), now)
        self._registry.beats.pop(instance, None)

    async def _remember(self, view: AgentView) -> None:
        """Keep for operators who fell silent."""
        last = msgspec.structs.replace(view, alive=False, health="silent", running=[], schemas={}, load=0, work={})
        stream = self._connection.keys.buried_agents
        await self._connection.call("XADD", stream, "MAXLEN", MOST_BURIED, "*", "agent", msgspec.json.encode(last))

    async def _sweep(self, orphan: Orphan, buried_ms: int) -> None:
        """Take over everything of one type that a dead instance held."""
        instance, task_type = orphan
        keys = self._connection.keys
        moved = 0
        for priority in PRIORITIES:
            moved += await self._take_over(keys.agent_queue(task_type, priority), instance, task_type)
        moved += await self._reroute(instance, task_type)
        if moved:
            log.info("tasks taken over", action="task.reclaimed", agent=instance, type=task_type, tasks=moved)
        if self._registry.now_ms - buried_ms > GRACE_MS:
            await self._forget(orphan)

    async def _take_over(self, queue: str, consumer: str, task_type: str) -> int:
        """Move what a consumer holds in a shared queue to the high one, where it is read first."""
        target = self._connection.keys.agent_queue(task_type, "high")
        moved = 0
        while True:
            try:
                pending = await self._connection.call("XPENDING", queue, AGENTS_GROUP, "-", "+", _BATCH, consumer)
            except ResponseError:
                return moved  # the queue or its group is gone
            if not pending:
                return moved
            ids = [entry[0] for entry in pending]
            moved += await self._connection.script("move_tasks", [queue, target], [AGENTS_GROUP, consumer, *ids])

    async def _reroute(self, instance: str, task_type: str) -> int:
        """Send what was addressed to one instance to others that are capable, or to the unrouted queue."""
        return await self._route(self._connection.keys.instance_queue(task_type, instance), task_type, instance)

    async def _route(self, queue: str, task_type: str, leaving: str = "") -> int:
        """Send each entry of a queue where it belongs now."""
        moved, after = 0, "-"
        while True:
            entries = await self._connection.call("XRANGE", queue, after, "+", "COUNT", _BATCH)
            by_target: dict[str, list[bytes]] = {}
            stays: list[tuple[bytes, list[bytes]]] = []
            for entry_id, fields in entries:
                if (queue, entry_id) in self._ledger.known:
                    continue  # runs here; only when this instance drains
                target = self._router.target(task_type, _requires(queue, entry_id, fields), leaving)
                if target != queue:
                    by_target.setdefault(target, []).append(entry_id)
                else:
                    stays.append((entry_id, fields))
            for target, ids in by_target.items():
                moved += await self._connection.script("move_tasks", [queue, target], [AGENTS_GROUP, "", *ids])
            if stays:
                await self._drop_settled(queue, stays)
            if len(entries) < _BATCH:
                return moved
            after = f"({entries[-1][0].decode()}"

    async def _drop_settled(self, queue: str, entries: list[tuple[bytes, list[bytes]]]) -> None:
        """Take out of a queue that nobody reads what nobody waits for any more: decided by people, cancelled, ended."""
        waits = await asyncio.gather(*(self._is_waited_for(queue, *entry) for entry in entries))
        gone = [entry_id for (entry_id, _), is_waited_for in zip(entries, waits, strict=True) if not is_waited_for]
        if gone:
            await self._connection.call("XDEL", queue, *gone)

    async def _is_waited_for(self, queue: str, entry_id: bytes, fields: list[bytes]) -> bool:
        try:
            task = parse(queue, entry_id, fields)
        except InvalidPayload:
            return False
        workflow = self._connection.keys.workflow(task.workflow_id)
        state, record = await self._connection.call("HMGET", workflow, "state", f"t:{task.step}")
        if state is None or state.decode() in FINAL_STATES or record is None:
            return False
        attempt = f"{task.generation}:{task.number}:"
        return bool(record.decode().startswith((f"{attempt}q", f"{attempt}c")))

    async def _forget(self, orphan: Orphan) -> None:
        """Remove the last traces of a dead instance, if nothing is left in its queues."""
        instance, task_type = orphan
        keys = self._connection.keys
        empty = await self._connection.script("retire_queue", [keys.instance_queue(task_type, instance)], [])
        for priority in PRIORITIES:
            queue = keys.agent_queue(task_type, priority)
            empty &= await self._connection.script("retire_consumer", [queue], [AGENTS_GROUP, instance])
        if empty:
            await self._connection.call("HDEL", keys.orphans, f"{instance}|{task_type}")

    # --- consumers that nobody knows ------------------------------------------------------

    async def _audit(self) -> None:
        """Take over from consumers that hold entries and are not registered, as after a lost registry."""
        seen: dict[tuple[str, str], int] = {}
        for task_type in self._handlers:
            for priority in PRIORITIES:
                queue = self._connection.keys.agent_queue(task_type, priority)
                for consumer in await consumers(self._connection, queue, AGENTS_GROUP):
                    if self._registry.knows(consumer) or (consumer, task_type) in self._registry.orphans:
                        continue
                    seen[queue, consumer] = self._strangers.get((queue, consumer), 0) + 1
                    if seen[queue, consumer] >= 2:
                        await self._adopt(queue, consumer, task_type)
        self._strangers = seen

    async def _adopt(self, queue: str, consumer: str, task_type: str) -> None:
        moved = await self._take_over(queue, consumer, task_type)
        moved += await self._reroute(consumer, task_type)
        await self._connection.script("retire_consumer", [queue], [AGENTS_GROUP, consumer])
        if moved:
            log.warning("tasks of an unknown agent taken over", action="task.reclaimed", agent=consumer, tasks=moved)


def _requires(queue: str, entry_id: bytes, fields: list[bytes]) -> dict[str, str]:
    try:
        return parse(queue, entry_id, fields).requires
    except InvalidPayload:
        return {}  # whoever reads it next sets it aside
