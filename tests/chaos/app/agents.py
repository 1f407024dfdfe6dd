"""The agents that work, fail and dawdle as told, and write each start and each effect into the ledger."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import Task, agent
from coordination.errors import FinalError, RetryableError
from tests.chaos import ledger
from tests.chaos.plans import Huge, Work


@agent("chaos_work")
async def work(task: Task, job: Work) -> int:
    """Give the job's value, at the attempt at which it no longer fails."""
    ledger.write("start", task.idempotency_key, task.number)
    if job.slow_ms:
        await asyncio.sleep(job.slow_ms / 1000)
    if task.number <= job.fails:
        raise RetryableError(f"attempt {task.number} of {job.fails + 1} fails as planned")
    if job.final:
        raise FinalError("this one is for people")
    ledger.write("effect", task.idempotency_key, task.number)
    return job.value


@agent("chaos_huge")
async def huge(task: Task, job: Huge) -> Any:
    """Give far more than is allowed; only a person's answer is small enough."""
    ledger.write("start", task.idempotency_key, task.number)
    return "x" * job.size_bytes
