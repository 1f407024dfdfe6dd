"""Starts workflows and waits for their results by the SDK's client."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

from temporalio.client import Client

from bench.peers.payloads import DOCUMENT
from bench.peers.temporal.app import QUEUE, Review


@contextlib.asynccontextmanager
async def connected(_variant: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """One connection; results come by long polls."""
    client = await Client.connect(os.environ["BENCH_TEMPORAL_ADDRESS"])

    async def workflow() -> None:
        await client.execute_workflow(Review.run, DOCUMENT, id=f"b{secrets.token_hex(8)}", task_queue=QUEUE)

    yield workflow
