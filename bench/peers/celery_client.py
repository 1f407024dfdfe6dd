"""``python -m bench.peers.celery_client``: the closed loop against Celery; hears of results as AsyncResult does."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
from typing import Any

import redis.asyncio
import uvloop

from bench.loop import Plan, measure
from bench.peers.celery_app import review

_PATIENCE_S = 120.0


class Results:
    """What Celery publishes when a task's result is stored."""

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
            if len(self._early) > 20_000:
                self._early.pop(next(iter(self._early)))
        elif not waiting.done():
            waiting.set_result(found["status"])

    async def wait(self, task_id: str) -> str:
        """The status of a task when its result is known."""
        early = self._early.pop(task_id, None)
        if early is not None:
            return early
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[task_id] = waiting
        async with asyncio.timeout(_PATIENCE_S):
            status: str = await waiting
        return status


async def _run(plan: Plan) -> str:
    results = Results(os.environ["BENCH_CELERY_URL"])
    listener = asyncio.create_task(results.listen(), name="results")
    await results.listening.wait()

    async def execute(_number: int) -> None:
        status = await results.wait(review().apply_async().id)
        if status != "SUCCESS":
            raise RuntimeError(status)

    found = await measure(execute, plan, None)
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    return found.to_json()


def main() -> int:
    """Run the closed loop once."""
    parser = argparse.ArgumentParser(prog="bench.peers.celery_client")
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--warm", type=float, required=True)
    parser.add_argument("--window", type=float, required=True)
    parser.add_argument("--pids", type=int, nargs="*", default=[])
    chosen = parser.parse_args()
    gc.freeze()
    print(uvloop.run(_run(Plan(chosen.in_flight, chosen.warm, chosen.window, 100_000, chosen.pids))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
