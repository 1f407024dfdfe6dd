"""Agents for tests, as an application declares them; also run by real processes."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import msgspec

from agents import AgentWorker, Task, agent
from coordination.errors import FinalError, RetryableError


class Document(msgspec.Struct):
    """An input."""

    name: str
    pages: int = 1


class Facts(msgspec.Struct):
    """A result."""

    title: str
    pid: int = 0


@agent("sample_echo", capabilities={"kind": ["nda", "lease"]}, version="3")
async def echo(task: Task, document: Document) -> Facts:
    """Answer at once."""
    return Facts(document.name, os.getpid())


@agent("sample_none")
async def none(task: Task) -> None:
    """Do nothing."""


@agent("sample_thread")
def in_thread(document: Document) -> Facts:
    """Answer from a thread."""
    assert threading.current_thread() is not threading.main_thread()
    return Facts(document.name, os.getpid())


@agent("sample_cpu", cpu_bound=True)
def in_process(task: Task, pages: int) -> Facts:
    """Answer from a process; 0 pages never end, a negative number dies."""
    task.progress(0.5, "halfway")
    if pages < 0:
        os._exit(7)
    while pages == 0:
        time.sleep(0.05)
    return Facts(f"{pages} pages", os.getpid())


@agent("sample_slow")
async def slow(task: Task, seconds: float) -> int:
    """Take so long."""
    await asyncio.sleep(seconds)
    return os.getpid()


class Effect(msgspec.Struct):
    """Something to do in the world outside."""

    ledger: str  # a file
    number: int
    seconds: float = 0.0


@agent("sample_effect")
async def effect(task: Task, order: Effect) -> int:
    """Write a line under the task's key, then dawdle, so that a kill hits between effect and report."""
    with open(order.ledger, "a", encoding="ascii") as ledger:
        ledger.write(f"{task.idempotency_key} {task.number} {os.getpid()}\n")
    await asyncio.sleep(order.seconds)
    return order.number * 2


@agent("sample_fails")
async def fails(task: Task, how: str) -> Facts:
    """Fail in so many ways."""
    if how == "final":
        raise FinalError("the document has no pages", details={"pages": 0})
    if how == "retryable":
        raise RetryableError("the service is busy", retry_after_s=2.5)
    if how == "shape":
        return {"name": "wrong"}  # type: ignore[return-value]
    if how == "large":
        return Facts("x" * 2_000_000)
    raise ValueError("<script>alert(1)</script>" + "y" * 20_000)


class SampleSubclass(AgentWorker):
    """An agent in the article's style."""

    task_type = "sample_subclass"
    capabilities = {"language": ["en"]}

    async def process(self, task: Task, document: Document) -> Facts:
        """Answer at once."""
        return Facts(document.name.upper())
