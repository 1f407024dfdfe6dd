"""Submits canvases, and hears of results by what Celery publishes when it stores one, as its own AsyncResult does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import redis.asyncio

from bench.peers.celery.app import review

_EARLY_MOST = 20_000


class Results:
    """What is known of tasks, by what Celery publishes."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis(unix_socket_path=url.removeprefix("redis+socket://"), socket_timeout=None)
        self._early: dict[str, str] = {}
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self.listening = asyncio.Event()

    async def listen(self) -> None:
        """Take in results until cancelled."""
        async with self._client.pubsub() as channel:
            await channel.psubscribe("celery-task-meta-*")
            self.listening.set()
            async for message in channel.listen():
                if message["type"] == "pmessage":
                    self._take(json.loads(message["data"]))

    def _take(self, found: dict[str, Any]) -> None:
        waiting = self._waiting.pop(found["task_id"], None)
        if waiting is None:
            self._early[found["task_id"]] = found["status"]
            if len(self._early) > _EARLY_MOST:
                self._early.pop(next(iter(self._early)))
        elif not waiting.done():
            waiting.set_result(found["status"])

    async def wait(self, task_id: str) -> str:
        """The status of a task when its result is known."""
        early = self._early.pop(task_id, None)
        if early is not None:
            return early
        waiting = self._waiting[task_id] = asyncio.get_running_loop().create_future()
        return await waiting


@contextlib.asynccontextmanager
async def connected(_variant: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Listen for results; the canvas is handed over by the blocking call that Celery offers."""
    results = Results(os.environ["BENCH_REDIS_URL"])
    listener = asyncio.create_task(results.listen(), name="results")
    await results.listening.wait()

    async def workflow() -> None:
        status = await results.wait(review().apply_async().id)
        if status != "SUCCESS":
            raise RuntimeError(status)

    yield workflow
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
