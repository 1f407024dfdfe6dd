"""Enqueues workflows and polls for their results, as DBOS's client does."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOSClient, EnqueueOptions

from bench.peers.dbos.app import QUEUE, VERSION
from bench.peers.payloads import DOCUMENT

RESULT_POLL_S = 0.5
THREADS = 20


@contextlib.asynccontextmanager
async def connected(_variant: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """One client; its calls block, so that they run in threads."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    client = DBOSClient(system_database_url=os.environ["BENCH_DATABASE_URL"], system_database_pool_size=THREADS)
    options: EnqueueOptions = {"queue_name": QUEUE, "workflow_name": "review", "app_version": VERSION}

    async def workflow() -> None:
        handle = await client.enqueue_async(options, DOCUMENT)
        await handle.get_result(polling_interval_sec=RESULT_POLL_S)

    yield workflow
    client.destroy()
