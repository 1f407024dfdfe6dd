"""Runs a coroutine so that SIGTERM and SIGINT end everything that it has started."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; the first signal cancels the work, which then cleans up.

    Raises:
        SystemExit: A signal came.
    """
    told: list[int] = []

    async def main() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def stop(number: int) -> None:
            if not told:
                task.cancel()
            told.append(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)
        return await work

    try:
        found = uvloop.run(main())
    except BaseException:
        if told:
            raise SystemExit(128 + told[0]) from None
        raise
    if told:
        raise SystemExit(128 + told[0])
    return found
