"""Runs a handler where it belongs: in the event loop, in a thread, or in a child process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from agents.handlers import Handler
from agents.ledger import Ledger
from agents.processes import Processes
from agents.task import Task


class Runners:
    """Turns an input into a valid result by its handler; cancelling stops what can be stopped.

    A thread cannot be stopped: its task ends for everybody else, and its slot stays taken until it returns.
    """

    def __init__(self, ledger: Ledger, limit_bytes: int) -> None:
        self._ledger = ledger
        self._limit_bytes = limit_bytes
        self._threads: ThreadPoolExecutor | None = None
        self._processes = Processes(ledger.processes)

    async def run(self, handler: Handler, task: Task, payload: bytes) -> bytes:
        """Run one task.

        Raises:
            InvalidInput: The input does not fit.
            InvalidResult: The result does not fit.
            Exception: Whatever the handler raised.
        """
        if handler.kind == "async":
            return handler.result(await handler.function(*handler.arguments(task, payload)), self._limit_bytes)
        if handler.kind == "process":
            handler.arguments(task, payload)  # a bad input costs no process
            return await self._processes.run(handler, task, payload, self._limit_bytes)
        return await self._in_thread(handler, task, payload)

    async def _in_thread(self, handler: Handler, task: Task, payload: bytes) -> bytes:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._ledger.concurrency, thread_name_prefix="agent")
        loop = asyncio.get_running_loop()
        future = self._threads.submit(self._call, handler, task, payload)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future.running():
                self._ledger.abandon(1)
                future.add_done_callback(lambda _: _call_in(loop, self._ledger.abandon, -1))
            raise

    def _call(self, handler: Handler, task: Task, payload: bytes) -> bytes:
        return handler.result(handler.function(*handler.arguments(task, payload)), self._limit_bytes)

    def close(self) -> None:
        """Let go of idle threads and end idle processes."""
        self._processes.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[int], None], argument: int) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, argument)
