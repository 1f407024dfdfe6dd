"""The worker: one instance in the agent pool, from its registration to its last acknowledgement."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import structlog
from redis.exceptions import RedisError

from agents.acknowledgement import Acknowledger
from agents.execution import Executor
from agents.fetch import Fetcher
from agents.handlers import Handler, find, register
from agents.ledger import Ledger
from agents.outage import Outage, backoff_s, heard
from agents.reclaim import Reclaimer
from agents.registration import Orders, Registrar
from agents.routing import Router
from agents.runners import Runners
from coordination.config import Config, current
from coordination.connection import Connection, beat_limit_s
from coordination.errors import ServerUnavailable, SettingsError, TryAgain
from coordination.registry import Registry

DEFAULT_CONCURRENCY = 32

log = structlog.get_logger("agents")


class AgentWorker:
    """Runs tasks of its types until told to stop, and loses none.

    Use it with types whose handlers are declared with ``@agent``, or subclass it with ``process``:

        class Extractor(AgentWorker):
            task_type = "extract"
            async def process(self, task: Task, document: Document) -> Facts: ...

    Args:
        types: Task types to serve; their handlers must be declared in this process.
        name: First part of the instance's name in the registry.
        concurrency: Tasks at once.
        processes: How many of them may be CPU-bound; as many as processors by default.
        config: Settings; those of the environment by default.
        handlers: Serve these instead of declared ones.
        remote: Name of the remote agent that this instance stands for.
        capabilities: By task type, instead of the handlers' own.
        ready: Called once when registered and about to read.
    """

    task_type: ClassVar[str] = ""
    capabilities: ClassVar[Mapping[str, Iterable[str]]] = {}
    timeout_s: ClassVar[float | None] = None
    version: ClassVar[str] = ""

    def __init__(
        self,
        types: Sequence[str] = (),
        *,
        name: str = "agent",
        concurrency: int = DEFAULT_CONCURRENCY,
        processes: int | None = None,
        config: Config | None = None,
        handlers: Sequence[Handler] = (),
        remote: str = "",
        capabilities: Mapping[str, dict[str, list[str]]] | None = None,
        ready: Callable[[], None] | None = None,
    ) -> None:
        if concurrency < 1:
            raise SettingsError(f"--concurrency must be at least 1, not {concurrency}.")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
            raise SettingsError(f"{name!r} is no name for an agent: use letters, digits, '_', '.' and '-'.")
        chosen = [*handlers] or [find(name_) for name_ in (types or (self.task_type and [self.task_type]) or ())]
        if not chosen:
            raise SettingsError("Name at least one task type to serve.")
        self.handlers = {handler.name: handler for handler in chosen}
        self.config = config or current()
        self._name = name
        self._remote = remote
        self._capabilities = capabilities or {handler.name: handler.capabilities for handler in chosen}
        self._ready = ready
        self.ledger = Ledger(concurrency, processes or min(concurrency, os.cpu_count() or 1))
        self._outage = Outage()
        self._stop = asyncio.Event()
        self._beat_at = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "process" in cls.__dict__:
            cls.task_type = cls.__dict__.get("task_type") or re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
            register(
                Handler(
                    cls.task_type,
                    _bound(cls),
                    capabilities=cls.capabilities,
                    timeout_s=cls.timeout_s,
                    version=cls.version,
                )
            )

    def process(self, task: Any, payload: Any) -> Any:
        """Do one task: override this in a subclass, async or plain."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop fetching, let running tasks finish for ``drain_s`` seconds, give the rest back."""
        self._stop.set()

    @property
    def instance(self) -> str:
        """This instance's name in the registry."""
        return self.ledger.instance

    # --- life -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until ``stop()``; waits for a server that does not answer yet."""
        limit_s = beat_limit_s(self.config, self.config.agent_heartbeat_s)
        connection, beats = await self._connect(), await self._connect(limit_s)
        if connection is None or beats is None:
            return
        async with connection, beats:
            await self._serve(connection, beats)

    async def _connect(self, limit_s: float = math.inf) -> Connection | None:
        tries = 0
        while not self._stop.is_set():
            try:
                connection = await Connection.open(self.config, limit_s)
            except ServerUnavailable as error:
                self._outage.failed(error, 0)
                await self._pause(backoff_s(tries))
                tries += 1
            else:
                self._outage.succeeded()
                return connection
        return None

    async def _serve(self, connection: Connection, beats: Connection) -> None:
        registry = Registry(beats, self.config.agent_heartbeat_s)
        acknowledger = Acknowledger(connection, self.ledger, self._outage)
        runners = Runners(self.ledger, self.config.payload_bytes)
        router = Router(connection.keys, registry, self._capabilities)
        executor = Executor(
            connection, self.ledger, registry, router, self.handlers, runners, acknowledger, self._outage
        )
        fetcher = Fetcher(connection, self.ledger, self.handlers, executor, acknowledger, self._outage)
        reclaimer = Reclaimer(connection, self.ledger, registry, router, self.handlers, lambda: fetcher.draining)
        registrar = Registrar(
            beats, self.ledger, self.handlers, name=self._name, remote=self._remote, capabilities=self._capabilities
        )
        registrar.renamed = self.ledger.missed.set
        if not await self._begin(registrar, fetcher, registry):
            return
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(acknowledger.run(), name="acknowledger"),
                    group.create_task(self._beat(registrar, registry, fetcher, reclaimer), name="heartbeat"),
                    group.create_task(self._renew(executor), name="renewals"),
                    group.create_task(executor.watch(), name="time limits"),
                    group.create_task(reclaimer.run(), name="reclaimer"),
                ]
                fetching = group.create_task(fetcher.run(), name="fetcher")
                log.info("agent serves", action="agent.started", agent=self.instance, types=list(self.handlers))
                if self._ready is not None:
                    self._ready()
                await self._stop.wait()
                fetcher.stopping.set()
                self.ledger.freed.set()
                await fetching
                await self._drain(acknowledger)
                for task in beside:
                    task.cancel()
        finally:
            runners.close()
        await self._leave(registrar)

    async def _begin(self, registrar: Registrar, fetcher: Fetcher, registry: Registry) -> bool:
        """Register and prepare the queues, however long the server takes."""
        tries = 0
        while not self._stop.is_set():
            try:
                await registrar.register()
                self._obey(await registrar.beat(), fetcher)
                await fetcher.prepare()
                await registry.refresh()
            except (TryAgain, RedisError) as error:
                self._outage.failed(error, 0)
                await self._pause(backoff_s(tries))
                tries += 1
            else:
                return True
        return False

    async def _beat(self, registrar: Registrar, registry: Registry, fetcher: Fetcher, reclaimer: Reclaimer) -> None:
        interval_s = self.config.agent_heartbeat_s
        due = time.monotonic()
        while True:
            due = max(due + interval_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            if (late_s := time.monotonic() - due) > 2 * interval_s:
                log.warning(
                    "the event loop stood still: a handler blocks it; write it as a plain def or cpu_bound",
                    action="agent.blocked", agent=self.instance, blocked_s=round(late_s, 1),
                    types=sorted({running.delivery.task_type for running in self.ledger.running.values()}),
                )  # fmt: skip
            try:
                before = self.instance
                orders = await registrar.beat()
                if self.instance != before:
                    await fetcher.prepare()
                self._obey(orders, fetcher)
                self.ledger.queued = await self._queued(registrar, fetcher)
                await registry.refresh()
            except (TryAgain, RedisError) as error:
                self._outage.failed(error, len(self.ledger.running))
                continue
            reclaimer.looked.set()

    def _obey(self, orders: Orders, fetcher: Fetcher) -> None:
        fetcher.paused, fetcher.draining, self.ledger.ramps = orders.paused, orders.draining, orders.ramps

    async def _queued(self, registrar: Registrar, fetcher: Fetcher) -> int:
        """How much waits in this instance's own queues."""
        lengths = await registrar.lengths([fetcher.queues(task_type)[0] for task_type in self.handlers])
        own = sum(lengths) - sum(1 for queue, _ in self.ledger.known if ":@" in queue)
        return max(0, own)

    async def _renew(self, executor: Executor) -> None:
        while True:
            await asyncio.sleep(self.config.agent_heartbeat_s)
            await executor.renew()

    async def _drain(self, acknowledger: Acknowledger) -> None:
        """Wait for running tasks, then give back what is left, then wait for the acknowledgements."""
        until = time.monotonic() + self.config.drain_s
        if self.ledger.running:
            log.info("agent drains", action="agent.draining", agent=self.instance, running=len(self.ledger.running))
        while self.ledger.running and time.monotonic() < until:
            await self._next_end(until)
        jobs = []
        for running in list(self.ledger.running.values()):
            if running.job is None:
                continue
            jobs.append(running.job)
            if running.task is None:
                running.job.cancel()
            running.stop("stopping")
        if jobs:
            await asyncio.wait(jobs, timeout=6.0)
        await acknowledger.finish(5.0)

    async def _next_end(self, until: float) -> None:
        self.ledger.freed.clear()
        await heard(self.ledger.freed, max(0.0, until - time.monotonic()))

    async def _leave(self, registrar: Registrar) -> None:
        try:
            await registrar.leave()
        except (TryAgain, RedisError) as error:
            log.warning("left without saying so; others notice", action="agent.left", error=str(error))
        log.info(
            "agent stopped",
            action="agent.stopped",
            agent=self.instance,
            done=self.ledger.done,
            failed=self.ledger.failed,
        )

    async def _pause(self, seconds: float) -> None:
        await heard(self._stop, seconds)


def _bound(cls: type[AgentWorker]) -> Callable[..., Any]:
    """A subclass's ``process`` as a plain function, on one object made with the first task."""
    process = cls.__dict__["process"]

    @functools.cache
    def made() -> AgentWorker:
        return cls()

    if inspect.iscoroutinefunction(process):

        @functools.wraps(process)
        async def run(*arguments: Any) -> Any:
            return await process(made(), *arguments)

        return run

    @functools.wraps(process)
    def run_plain(*arguments: Any) -> Any:
        return process(made(), *arguments)

    return run_plain
