"""The agent that works, fails and dawdles as told, and writes each start into the ledger."""

from __future__ import annotations

import asyncio
import os

from agents import Task, agent
from coordination.errors import FinalError, RetryableError
from tests.chaos import ledger
from tests.chaos.plans import Work


@agent("chaos_work")
async def work(task: Task, job: Work) -> int:
    """Give the job's value, at the attempt at which it no longer fails."""
    ledger.write("start", task.idempotency_key, task.number, os.getpid())
    if job.slow_ms:
        await asyncio.sleep(job.slow_ms / 1000)
    if task.number <= job.fails:
        raise RetryableError(f"attempt {task.number} of {job.fails + 1} fails as planned")
    if job.final:
        raise FinalError("this one is for people")
    ledger.write("end", task.idempotency_key, task.number, os.getpid())
    return job.value
