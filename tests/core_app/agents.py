"""Agents whose effects can be counted, and that fail as they are told."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec

from agents import Task, agent
from coordination.errors import FinalError, RetryableError

calls: Counter[str] = Counter()  # by idempotency key, in this process
started: dict[str, asyncio.Event] = {}  # by name: set when a handler that waits has begun
release: dict[str, asyncio.Event] = {}  # by name: lets it go on
stopped: list[str] = []  # names whose handler was cancelled


class Document(msgspec.Struct):
    """An input."""

    name: str
    pages: int = 1


class Facts(msgspec.Struct):
    """A result."""

    title: str
    pages: int


def event(events: dict[str, asyncio.Event], name: str) -> asyncio.Event:
    """The event of a name, made when first asked for."""
    return events.setdefault(name, asyncio.Event())


@agent("core_facts")
async def facts(task: Task, document: Document) -> Facts:
    """Answer at once."""
    calls[task.idempotency_key] += 1
    return Facts(document.name.upper(), document.pages)


@agent("core_add")
async def add(task: Task, numbers: list[int]) -> int:
    """Add them up."""
    calls[task.idempotency_key] += 1
    return sum(numbers)


class Order(msgspec.Struct):
    """How the handler is to behave."""

    fails: int = 0  # so many attempts fail
    final: bool = False
    answer: int = 42


@agent("core_flaky")
async def flaky(task: Task, order: Order) -> int:
    """Fail as ordered, then answer."""
    calls[task.idempotency_key] += 1
    if task.number <= order.fails:
        if order.final:
            raise FinalError("no such page", details={"attempt": task.number})
        raise RetryableError(f"attempt {task.number} failed")
    return order.answer


@agent("core_wait")
async def wait(task: Task, name: str) -> str:
    """Wait until the test lets it go on."""
    event(started, name).set()
    try:
        await event(release, name).wait()
    except asyncio.CancelledError:
        stopped.append(name)
        raise
    return name


@agent("core_long")
async def long(task: Task, parts: int) -> int:
    """Take 0.1 s a part, and tell about each."""
    for part in range(parts):
        await asyncio.sleep(0.1)
        task.progress(part / parts, f"part {part}")
    return parts


undone: list[str] = []


@agent("core_undo")
async def undo(task: Task, what: str) -> None:
    """Note what was undone, in order."""
    undone.append(what)


@agent("core_shape")
async def shape(task: Task, value: int) -> int:
    """Return something of another shape than declared when told so by 13."""
    return "thirteen" if value == 13 else value  # type: ignore[return-value]


@agent("core_tick")
async def tick(task: Task, number: int) -> int:
    """Take a moment, and count."""
    calls[task.idempotency_key] += 1
    await asyncio.sleep(0.08)
    return number
