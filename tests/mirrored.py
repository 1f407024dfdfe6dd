"""A small whole for tests of the history: a coordinator host, an agent worker and a relay in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.db import connections

from agents import AgentWorker, Task, agent
from coordination import DistributedCoordinator, FinalError, RetryableError
from coordination.client import Client
from coordination.config import Config
from coordination.connection import Connection
from coordination.host import Host
from dashboard.relay import Relay

WAIT_S = 20.0


class Word(msgspec.Struct):
    """What the test workflow takes."""

    word: str
    api_key: str = ""


class Shout(msgspec.Struct):
    """What its task gives."""

    text: str
    length: int


class MirroredShout(DistributedCoordinator):
    """One task; a word that begins with ``bad`` fails for good, ``flaky`` fails at first."""

    max_retries = 0

    async def run(self, word: Word) -> Shout:
        """Shout."""
        return await self.dispatch_task("mirrored_shout_task", word, returns=Shout)


class MirroredAsk(DistributedCoordinator):
    """Asks a person."""

    async def run(self, word: Word) -> str:
        """Ask, and return the answer."""
        answer = await self.ask_human(f"How is {word.word} spelt?", returns=Shout, context={"word": word.word})
        return answer.text


class MirroredWait(DistributedCoordinator):
    """Waits for a signal."""

    async def run(self, word: Word) -> str:
        """Wait."""
        return str(await self.wait_for_signal("go", returns=str))


REPAIRED: set[str] = set()


@agent("mirrored_shout_task")
async def shout(task: Task, word: Word) -> Shout:
    """Shout, unless the word is bad and nobody has repaired it."""
    if word.word.startswith("bad") and word.word not in REPAIRED:
        raise FinalError(f"word {word.word!r} number 4711 is bad")
    if word.word.startswith("flaky"):
        raise RetryableError("try again")
    return Shout(word.word.upper(), len(word.word))


@contextlib.asynccontextmanager
async def client(config: Config) -> AsyncIterator[Client]:
    """A client alone."""
    async with Client.open(config) as opened:
        yield opened


@contextlib.asynccontextmanager
async def host_and_worker(config: Config) -> AsyncIterator[Client]:
    """A host and a worker for the types above, and a client to talk to them."""
    worker = AgentWorker(["mirrored_shout_task"], config=config)
    async with await Connection.open(config) as connection, Client.open(config) as opened:
        running = asyncio.create_task(worker.run(), name="worker")
        async with Host(connection, "mirrored").running():
            try:
                yield opened
            finally:
                worker.stop()
                await running


@contextlib.asynccontextmanager
async def relay(config: Config, name: str = "relay") -> AsyncIterator[Relay]:
    """A relay that mirrors until the end of the block."""
    async with await Connection.open(config) as connection:
        running = Relay(connection, name)
        ready = asyncio.Event()
        task = asyncio.create_task(running.run(ready.set), name="relay")
        async with asyncio.timeout(WAIT_S):
            await ready.wait()
        try:
            yield running
        finally:
            running.stop()
            await task


async def sql(work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Do database work in a thread that leaves no connection behind."""

    def done() -> Any:
        try:
            return work(*arguments, **options)
        finally:
            connections.close_all()

    return await sync_to_async(done, thread_sensitive=False)()


async def until(look: Callable[[], Any], what: str = "it is so") -> Any:
    """What a look at the database gives, once it gives something; relays tell nobody in a test."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = await sql(look)
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {WAIT_S:g} s in vain until {what}"
        await asyncio.sleep(0.02)
