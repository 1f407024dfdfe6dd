"""Agents that do what agents must not do."""

from __future__ import annotations

import asyncio
import time

import msgspec

from agents import Task, agent

SCRIPT = "<script>document.title = 'broken into'</script><img src=x onerror=document.title='broken'>"


class Answer(msgspec.Struct):
    """What the agents promise."""

    text: str
    amount: int = 0


@agent("bad_shape")
async def shape(task: Task, word: str) -> Answer:
    """Return something of another shape than declared."""
    return ["neither", "text", "nor", "amount"]  # type: ignore[return-value]


@agent("bad_raise")
async def raises(task: Task, word: str) -> Answer:
    """Raise what nobody expects, with a script in its message."""
    raise ZeroDivisionError(f"{word} broke {SCRIPT}")


@agent("bad_script")
async def script(task: Task, word: str) -> Answer:
    """Answer with a script."""
    task.progress(0.5, SCRIPT)
    return Answer(SCRIPT, 1)


@agent("bad_silence")
async def silence(task: Task, word: str) -> Answer:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


@agent("bad_hang", version="1")
def hang(task: Task, seconds: float) -> str:
    """Hold a thread whatever the time limit says."""
    time.sleep(seconds)
    return "woke"


@agent("bad_slow", timeout_s=60)
async def slow(task: Task, seconds: float) -> Answer:
    """Answer after a while."""
    await asyncio.sleep(seconds)
    return Answer(f"after {seconds:g} s")
