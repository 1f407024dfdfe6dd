"""The four steps as taskiq tasks, and a fifth that leads them: taskiq has no workflows of its own."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from bench.peers.payloads import DOCUMENT, FINDING, work

READY = "peer worker is ready"
POLL_S = 0.05
PATIENCE_S = 120.0

Payload = dict[str, Any]

_URL = os.environ["BENCH_REDIS_URL"]
broker = RedisStreamBroker(_URL, maxlen=100_000).with_result_backend(
    RedisAsyncResultBackend(_URL, result_ex_time=600)  # type: ignore[misc]
)


@broker.task
async def classify(document: Payload) -> Payload:
    """Returns 300 bytes."""
    await work()
    return DOCUMENT


@broker.task
async def extract(kind: Payload) -> Payload:
    """Returns 150 bytes."""
    await work()
    return FINDING


@broker.task
async def validate(kind: Payload) -> Payload:
    """Returns 150 bytes."""
    await work()
    return FINDING


@broker.task
async def summarize(findings: Payload) -> Payload:
    """Returns 300 bytes."""
    await work()
    return DOCUMENT


async def result(task: Any, *arguments: Payload) -> Payload:
    """Queue a task and wait for what it returns."""
    queued = await task.kiq(*arguments)
    answer = await queued.wait_result(check_interval=POLL_S, timeout=PATIENCE_S)
    answer.raise_for_error()
    value: Payload = answer.return_value
    return value


async def review(document: Payload) -> Payload:
    """Four steps, two of them side by side."""
    kind = await result(classify, document)
    facts, issues = await asyncio.gather(result(extract, kind), result(validate, kind))
    return await result(summarize, {"facts": facts, "issues": issues})


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _tell(_: TaskiqState) -> None:
    print(READY, flush=True)
