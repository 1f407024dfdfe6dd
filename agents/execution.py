"""Runs one delivery from its claim to its report, so that a duplicate is always a no-op."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import msgspec
import structlog
from redis.exceptions import RedisError

from agents.acknowledgement import Acknowledger
from agents.failures import describe, timed_out
from agents.handlers import Handler
from agents.ledger import Ledger, Running, task_key
from agents.outage import Outage, backoff_s
from agents.routing import Router
from agents.runners import Runners
from agents.task import Task
from coordination import tasks
from coordination.connection import Connection
from coordination.domain import ErrorInfo, said
from coordination.errors import TryAgain
from coordination.keys import AGENTS_GROUP
from coordination.registry import Registry
from coordination.tasks import Delivery

REPORT_S = 120.0  # how long an outcome is offered to a server that does not take it
WATCH_S = 0.1  # how exactly time limits are kept
_BROKE_OFF_CHARS = 1_500

T = TypeVar("T")

log = structlog.get_logger("agents")


class Executor:
    """Starts deliveries in slots. Claims first, reports the outcome, and only then acknowledges."""

    def __init__(
        self,
        connection: Connection,
        ledger: Ledger,
        registry: Registry,
        router: Router,
        handlers: Mapping[str, Handler],
        runners: Runners,
        acknowledger: Acknowledger,
        outage: Outage,
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._registry = registry
        self._router = router
        self._beside: set[asyncio.Task[None]] = set()
        self._handlers = handlers
        self._runners = runners
        self._acknowledger = acknowledger
        self._outage = outage

    def start(self, delivery: Delivery, claim: tasks.Claim | None = None) -> None:
        """Run a delivery in a slot of its own; one that was claimed when it was read brings its claim."""
        if delivery.requires and not self._router.fits(delivery.task_type, delivery.requires):
            self._spawn(self._forward(delivery), f"forward {delivery.workflow_id}:{delivery.step}")
            return
        if task_key(delivery) in self._ledger.running:
            self._acknowledger.add(delivery)  # the same attempt, delivered twice, runs here already
            return
        running = Running(delivery, self._handlers[delivery.task_type])
        self._ledger.begin(running)
        name = f"task {delivery.task_type} {delivery.workflow_id}:{delivery.step}"
        running.job = asyncio.get_running_loop().create_task(self._execute(running, claim), name=name)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _forward(self, delivery: Delivery) -> None:
        """Hand a task that requires what this instance lacks to one that has it."""
        target = self._router.target(delivery.task_type, delivery.requires)
        args = [AGENTS_GROUP, self._ledger.instance, delivery.entry_id]
        try:
            await self._connection.script("move_tasks", [delivery.queue, target], args)
        except (TryAgain, RedisError) as error:
            self._outage.failed(error, len(self._ledger.running))
            self._leave(delivery)
            return
        self._ledger.known.discard((delivery.queue, delivery.entry_id))

    async def _execute(self, running: Running, claim: tasks.Claim | None) -> None:
        delivery = running.delivery
        instance = claim.instance if claim else self._ledger.instance
        try:
            claim = claim or await self._until_answered(lambda: self._claim(delivery, instance, running.started_at))
            if claim is None:
                self._leave(delivery)
                return
            if claim.outcome != "claimed":
                log.debug("delivery dropped", action="task.dropped", task=task_key(delivery), why=claim.outcome)
                self._acknowledger.add(delivery)
                return
            running.instance, running.claimed_ms = instance, claim.claimed_ms
            running.started_at = time.monotonic()
            running.task = Task(
                delivery.workflow_id, delivery.step, delivery.number, delivery.task_type, delivery.idempotency_key,
                timeout_s=delivery.timeout_s, context=dict(delivery.context),
            )  # fmt: skip
            report = await self._run(running, instance)
            running.ended = running.ended or "over"  # from here on nothing cancels the report
            if report is None:
                return
            answer = await self._until_answered(report)
            if answer is None:
                self._leave(delivery)
                return
            log.debug("task reported", action="task.reported", task=task_key(delivery), answer=answer)
            self._acknowledger.add(delivery)
        except Exception as error:
            await self._broke_off(running, error)
            log.exception("task broken off", action="task.broken_off", task=task_key(delivery))
        finally:
            self._ledger.end(running)

    async def _broke_off(self, running: Running, error: Exception) -> None:
        """Report what nobody expected as a failed attempt, so that people hear of it in the end."""
        delivery, answer = running.delivery, None
        if running.task is not None:
            running.ended = running.ended or "over"
            message = f"The agent broke off: {said(error)}"[:_BROKE_OFF_CHARS]
            info = ErrorInfo(type(error).__name__, message, agent_version=running.handler.version)
            try:
                answer = await self._until_answered(
                    lambda: tasks.fail(self._connection, delivery, running.instance, running.claimed_ms, info)
                )
            except Exception:
                log.exception("task left to be taken up again", action="task.left", task=task_key(delivery))
        if answer is None:
            self._leave(delivery)
        else:
            self._acknowledger.add(delivery)

    async def _claim(self, delivery: Delivery, instance: str, read_at: float) -> tasks.Claim:
        claim = await tasks.claim(self._connection, delivery, instance)
        if claim.outcome != "held":
            return claim
        if self._registry.looked_at <= read_at or not self._registry.knows(claim.holder):
            await self._registry.refresh()  # the holder may be newer than the last look, or dead since then
        if self._registry.knows(claim.holder):
            return claim
        return await tasks.claim(self._connection, delivery, instance, previous=claim.holder)

    async def _run(self, running: Running, instance: str) -> Callable[[], Awaitable[str]] | None:
        """Run the handler; returns how to report its outcome, or None when nobody wants to hear it."""
        delivery, task = running.delivery, running.task
        assert task is not None
        connection, claimed_ms = self._connection, running.claimed_ms
        try:
            value = await self._runners.run(running.handler, task, delivery.payload)
        except asyncio.CancelledError:
            job = asyncio.current_task()
            if job is not None and running.ended:
                job.uncancel()
                return await self._stopped(running, instance)
            if job is None or job.cancelling():
                raise
            info, after = ErrorInfo("CancelledError", "The handler cancelled itself."), None
            self._ledger.finished(running, info.kind)
            return lambda: tasks.fail(connection, delivery, instance, claimed_ms, info, after)
        except Exception as error:
            if running.ended:
                return await self._stopped(running, instance)
            info, after = describe(error)
            info = msgspec.structs.replace(info, agent_version=running.handler.version)
            self._ledger.finished(running, info.kind)
            return lambda: tasks.fail(connection, delivery, instance, claimed_ms, info, after)
        if running.ended in ("lost", "cancelled"):
            self._acknowledger.add(delivery)
            return None
        self._ledger.finished(running)
        return lambda: tasks.settle(connection, delivery, instance, claimed_ms, value)

    async def _stopped(self, running: Running, instance: str) -> Callable[[], Awaitable[str]] | None:
        delivery, task = running.delivery, running.task
        assert task is not None
        if running.ended == "timeout":
            info: ErrorInfo = timed_out(delivery.timeout_s, moved=task.moved_at > task.began_at)
            self._ledger.finished(running, info.kind)
            return lambda: tasks.fail(self._connection, delivery, instance, running.claimed_ms, info)
        if running.ended == "stopping":
            await self._until_answered(lambda: _released(self._connection, delivery, instance), limit_s=5.0)
            self._ledger.known.discard((delivery.queue, delivery.entry_id))
            log.info("unfinished task given back", action="task.released", task=task_key(delivery))
            return None
        log.debug("task stopped", action="task.stopped", task=task_key(delivery), why=running.ended)
        self._acknowledger.add(delivery)  # settled, superseded or withdrawn meanwhile
        return None

    def _leave(self, delivery: Delivery) -> None:
        """Leave an entry pending here; the fetcher finds it again once the server answers."""
        self._ledger.known.discard((delivery.queue, delivery.entry_id))
        self._ledger.missed.set()

    async def _until_answered(self, call: Callable[[], Awaitable[T]], limit_s: float = REPORT_S) -> T | None:
        """Repeat a call that may be repeated until the server answers, or give up after a bounded time."""
        began, tries = time.monotonic(), 0
        while True:
            try:
                answer = await call()
            except (TryAgain, RedisError) as error:
                self._outage.failed(error, len(self._ledger.running))
                if time.monotonic() - began > limit_s:
                    return None
                await asyncio.sleep(backoff_s(tries))
                tries += 1
            else:
                self._outage.succeeded()
                return answer

    # --- beside the running tasks -----------------------------------------------------

    async def watch(self) -> None:
        """Stop handlers that used up their time, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            now = time.monotonic()
            for running in list(self._ledger.running.values()):
                if running.task is None or running.ended:
                    continue
                if now > max(running.started_at, running.task.moved_at) + running.delivery.timeout_s:
                    running.stop("timeout")

    async def renew(self) -> None:
        """Extend the claims of tasks that run longer than a second, and stop those that lost theirs."""
        now = time.monotonic()
        long = [
            running
            for running in self._ledger.running.values()
            if running.task is not None
            and not running.ended
            and now - running.started_at > min(1.0, running.delivery.timeout_s / 3)
        ]
        await asyncio.gather(*(self._renew(running) for running in long))

    async def _renew(self, running: Running) -> None:
        task = running.task
        assert task is not None
        share, note = (task.share, task.note) if task.told else (None, "")
        try:
            answer = await tasks.renew(self._connection, running.delivery, running.instance, share, note)
        except (TryAgain, RedisError) as error:
            self._outage.failed(error, len(self._ledger.running))
            return
        except Exception:  # one task's words must not end the worker with all others
            log.exception("claim not extended", action="task.not_extended", task=task_key(running.delivery))
            return
        task.told = task.told and (task.share, task.note) != (share, note)
        if answer != "renewed":
            running.stop(answer)


async def _released(connection: Connection, delivery: Delivery, instance: str) -> bool:
    await tasks.release(connection, delivery, instance)
    return True
