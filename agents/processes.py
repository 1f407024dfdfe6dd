"""Child processes for CPU-bound handlers: one task at a time each, and killable."""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection as Pipe
from typing import Any

import msgspec

from agents.failures import ChildError, describe
from agents.handlers import Handler, find
from agents.task import Task
from coordination.domain import ErrorInfo


class Job(msgspec.Struct, array_like=True):
    """What a child is given."""

    module: str
    name: str
    payload: bytes
    workflow_id: str
    step: str
    number: int
    idempotency_key: str
    timeout_s: float
    limit_bytes: int


class Told(msgspec.Struct, array_like=True, tag="p"):
    """A child's progress."""

    share: float | None
    note: str


class Done(msgspec.Struct, array_like=True, tag="d"):
    """A child's valid result."""

    value: bytes


class Failed(msgspec.Struct, array_like=True, tag="f"):
    """A child's failure."""

    error: ErrorInfo
    retry_after_s: float | None


_encode = msgspec.msgpack.Encoder().encode
_decode_job = msgspec.msgpack.Decoder(Job).decode
_decode_reply = msgspec.msgpack.Decoder(Told | Done | Failed).decode


class Child:
    """One spawned process and the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=serve, args=(theirs, _django_is_set_up()), name="ganglion-agent", daemon=True
        )
        self.process.start()
        theirs.close()

    def kill(self) -> None:
        """End the process at once; whoever waits for it gets an EOFError."""
        if self.process.is_alive():
            self.process.kill()

    def close(self) -> None:
        """End the process and free what it holds."""
        self.kill()
        self.process.join(5)
        self.pipe.close()


class Processes:
    """Runs CPU-bound handlers, at most ``size`` at once. Children are kept for the next task."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._room = asyncio.Semaphore(size)
        self._idle: list[Child] = []
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, handler: Handler, task: Task, payload: bytes, limit_bytes: int) -> bytes:
        """Run one task in a child. Cancelling this kills the child.

        Raises:
            ChildError: The handler failed, or its process died.
        """
        async with self._room:
            return await self._run(handler, task, payload, limit_bytes)

    async def _run(self, handler: Handler, task: Task, payload: bytes, limit_bytes: int) -> bytes:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._size * 2 + 2, thread_name_prefix="agent-process")
        loop = asyncio.get_running_loop()
        job = _encode(
            Job(
                handler.function.__module__, handler.name, payload, task.workflow_id, task.step, task.number,
                task.idempotency_key, task.timeout_s, limit_bytes,
            )
        )  # fmt: skip
        child = self._idle.pop() if self._idle else await loop.run_in_executor(self._threads, Child)
        waiting = loop.run_in_executor(self._threads, _converse, child, job, task.progress)
        try:
            reply = await asyncio.shield(waiting)
        except asyncio.CancelledError:
            child.kill()
            waiting.add_done_callback(_look_away)
            loop.run_in_executor(self._threads, child.close)
            raise
        except (EOFError, OSError):
            await loop.run_in_executor(self._threads, child.close)
            code = child.process.exitcode
            raise ChildError(
                ErrorInfo(
                    "ProcessDied", f"The process of agent {handler.name!r} died (exit code {code}) during the task."
                )
            ) from None
        self._idle.append(child)
        if isinstance(reply, Failed):
            raise ChildError(reply.error, reply.retry_after_s)
        return reply.value

    def close(self) -> None:
        """End every idle child."""
        while self._idle:
            self._idle.pop().close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _look_away(waiting: asyncio.Future[Any]) -> None:
    if not waiting.cancelled():
        waiting.exception()


def _converse(child: Child, job: bytes, tell: Callable[[float | None, str], object]) -> Done | Failed:
    child.pipe.send_bytes(job)
    while True:
        reply: Told | Done | Failed = _decode_reply(child.pipe.recv_bytes())
        if not isinstance(reply, Told):
            return reply
        tell(reply.share, reply.note)


# --- in the child ------------------------------------------------------------------------


def _django_is_set_up() -> bool:
    apps = sys.modules.get("django.apps")
    return bool(apps and apps.apps.ready)


def serve(pipe: Pipe, django: bool) -> None:
    """Run one job after the other until the parent goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the whole group
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the parent decides, and kills
    if django:
        importlib.import_module("django").setup()
    while True:
        try:
            raw = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        job = _decode_job(raw)
        try:
            reply: Done | Failed = Done(_run(job, lambda share, note: pipe.send_bytes(_encode(Told(share, note)))))
        except Exception as error:
            reply = Failed(*describe(error))
        try:
            pipe.send_bytes(_encode(reply))
        except OSError:
            return


def _run(job: Job, tell: Callable[[float | None, str], None]) -> bytes:
    importlib.import_module(job.module)
    handler = find(job.name)
    task = Task(
        job.workflow_id, job.step, job.number, job.name, job.idempotency_key, timeout_s=job.timeout_s, tell=tell
    )
    return handler.result(handler.function(*handler.arguments(task, job.payload)), job.limit_bytes)
