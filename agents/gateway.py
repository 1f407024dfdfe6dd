"""Runs registered remote agents over HTTP, through the same queues as every other agent."""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Callable
from typing import Any

import jsonschema
import msgspec
import referencing
import structlog
from redis.exceptions import RedisError

from agents import trials
from agents.caller import Caller
from agents.handlers import Handler, InvalidResult
from agents.outage import Outage, heard
from agents.task import Task
from agents.worker import AgentWorker
from coordination import catalog
from coordination.config import Config
from coordination.connection import Connection
from coordination.domain import RemoteAgent
from coordination.errors import ServerUnavailable, TryAgain
from coordination.registry import read_remote

LOOK_S = 1.0  # between two looks at what is registered

log = structlog.get_logger("agents")


class RemoteHandler(Handler):
    """A task type of a remote agent. Its results are checked like everybody's, and against registered schemas."""

    def __init__(self, task_type: str, remote: RemoteAgent, caller: Caller) -> None:
        known = catalog.task_type(task_type)

        async def call(task: Task, payload: Any) -> Any:
            return await caller.call(remote, task, payload)

        super().__init__(
            task_type,
            call,
            capabilities=_capabilities(task_type, remote),
            version=remote.version,
            timeout_s=remote.timeout_s,
            input_type=known.input_type if known else Any,
            output_type=known.output_type if known else Any,
        )
        self._schemas = remote.schemas.get(task_type) or super().schemas()

    def schemas(self) -> dict[str, Any]:
        """Those it was registered with, else those of the local type of the same name."""
        return self._schemas

    def check(self, raw: bytes, limit_bytes: int) -> None:
        """Check a result by type, limit and registered schema."""
        super().check(raw, limit_bytes)
        schema = self._schemas.get("output")
        if not schema:
            return
        error = next(_validator(msgspec.json.encode(schema)).iter_errors(msgspec.json.decode(raw)), None)
        if error is not None:
            where = "/".join(str(part) for part in error.absolute_path) or "the top"
            raise InvalidResult(
                f"Remote agent returned another shape for {self.name!r}: {error.message[:300]} at {where}."
            )


def _capabilities(task_type: str, remote: RemoteAgent) -> dict[str, list[str]]:
    """Those it was registered with, and the tags of the skill behind the type."""
    skill = remote.skills.get(task_type)
    return {**remote.capabilities, "tag": skill.tags} if skill and skill.tags else remote.capabilities


@functools.lru_cache(256)
def _validator(schema: bytes) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(msgspec.json.decode(schema), registry=referencing.Registry())


async def try_call(config: Config, remote: RemoteAgent, task_type: str, payload: Any) -> Any:
    """Call a remote agent once outside any workflow, with all checks, as operators do before they rely on it.

    Raises:
        AgentError: In words, what went wrong.
        InvalidInput: The input does not fit the local type of that name.
        InvalidResult: The answer does not fit.
    """
    async with Caller(config) as caller:
        handler = RemoteHandler(task_type, remote, caller)
        key = f"test-call-{uuid.uuid4().hex}:0:0"  # of its own: what answers from memory has not been tried
        task = Task("test-call", "0", 1, task_type, key, timeout_s=remote.timeout_s)
        async with asyncio.timeout(remote.timeout_s + 1):
            value = await handler.function(*handler.arguments(task, msgspec.json.encode(payload)))
        return msgspec.json.decode(handler.result(value, config.payload_bytes))


class Gateway:
    """Keeps one instance in the pool for each registered remote agent, and makes trial calls of others.

    Args:
        config: Settings.
        name: First part of the instances' names.
        ready: Called once when what is registered has been read.
    """

    def __init__(self, config: Config, *, name: str = "gateway", ready: Callable[[], None] | None = None) -> None:
        self._config = config
        self._name = name
        self._ready = ready
        self._stop = asyncio.Event()
        self._serving: dict[str, tuple[RemoteAgent, AgentWorker, asyncio.Task[None]]] = {}
        self._trials: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Stop every instance in order."""
        self._stop.set()

    async def run(self) -> None:
        """Serve what is registered, and follow its changes, until ``stop()``."""
        outage = Outage()
        async with Caller(self._config) as caller:
            while not self._stop.is_set():
                try:
                    async with await Connection.open(self._config) as connection:
                        await self._follow(connection, caller, outage)
                except (TryAgain, RedisError) as error:
                    outage.failed(error, 0)
                    await self._pause()
            await asyncio.gather(*(self._end(name) for name in list(self._serving)))
            for trial in self._trials:
                trial.cancel()
            await asyncio.gather(*self._trials, return_exceptions=True)

    async def _follow(self, connection: Connection, caller: Caller, outage: Outage) -> None:
        while not self._stop.is_set():
            wanted = {remote.name: remote for remote in await read_remote(connection)}
            outage.succeeded()
            for name, (remote, _, job) in list(self._serving.items()):
                if wanted.get(name) != remote or job.done():
                    await self._end(name)
            for name, remote in wanted.items():
                if name not in self._serving:
                    self._begin(remote, caller)
            await self._try(connection)
            if self._ready is not None:
                self._ready()
                self._ready = None
            await self._pause()

    async def _try(self, connection: Connection) -> None:
        """Take trial calls that are asked for, as many as there is room for."""
        for trial in await trials.take(connection, trials.AT_ONCE - len(self._trials)):
            work = trials.carry_out(connection, trial, self._name, functools.partial(try_call, self._config))
            job = asyncio.get_running_loop().create_task(work, name=f"trial of {trial.remote.name}")
            self._trials.add(job)
            job.add_done_callback(self._trials.discard)

    def _begin(self, remote: RemoteAgent, caller: Caller) -> None:
        try:
            worker = AgentWorker(
                name=f"{self._name}-{remote.name}"[:64],
                concurrency=remote.concurrency,
                config=self._config,
                handlers=[RemoteHandler(task_type, remote, caller) for task_type in remote.types],
                remote=remote.name,
            )
        except Exception as error:
            log.exception("remote agent cannot be served", action="remote.failed", remote=remote.name, error=str(error))
            return
        job = asyncio.get_running_loop().create_task(worker.run(), name=f"remote {remote.name}")
        self._serving[remote.name] = (remote, worker, job)

    async def _end(self, name: str) -> None:
        _, worker, job = self._serving.pop(name)
        worker.stop()
        try:
            await job
        except ServerUnavailable as error:
            log.warning("remote agent's instance ended", action="remote.failed", remote=name, error=str(error))
        except Exception as error:
            log.exception("remote agent's instance failed", action="remote.failed", remote=name, error=str(error))

    async def _pause(self) -> None:
        await heard(self._stop, LOOK_S)
