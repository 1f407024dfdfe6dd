"""Leads the four tasks from the client, which is the cheapest way that taskiq offers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from bench.peers.payloads import DOCUMENT
from bench.peers.taskiq.app import broker, review


@contextlib.asynccontextmanager
async def connected(_variant: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """The broker, started for sending."""
    await broker.startup()
    yield lambda: review(DOCUMENT)
    await broker.shutdown()
