"""Submits by Restate's HTTP ingress, whose answer to the request is the result."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp

from bench.peers.payloads import DOCUMENT


@contextlib.asynccontextmanager
async def connected(variant: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """One connection for each request in flight, kept open."""
    url = f"{os.environ['BENCH_RESTATE_URL']}/Reviews/{variant}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def workflow() -> None:
            async with session.post(url, json=DOCUMENT) as answer:
                answer.raise_for_status()
                await answer.json()

        yield workflow
