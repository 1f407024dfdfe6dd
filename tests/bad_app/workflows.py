"""Workflows over agents that misbehave."""

from __future__ import annotations

import msgspec

from coordination import DistributedCoordinator
from tests.bad_app.agents import Answer


class Ask(msgspec.Struct):
    """Which agent is asked, and what."""

    task: str
    word: str = "hello"
    retries: int = 0
    timeout_s: float = 30.0


class BadAgent(DistributedCoordinator):
    """One task of a bad agent."""

    async def run(self, ask: Ask) -> Answer:
        """Ask it."""
        return await self.dispatch_task(
            ask.task, ask.word, returns=Answer, max_retries=ask.retries, timeout_s=ask.timeout_s
        )


class BadSlow(DistributedCoordinator):
    """Two tasks that take their time, one after the other."""

    async def run(self, seconds: float) -> Answer:
        """Take twice as long."""
        await self.dispatch_task("bad_slow", seconds, returns=Answer)
        return await self.dispatch_task("bad_slow", seconds, returns=Answer)


class BadWait(DistributedCoordinator):
    """Waits for a signal."""

    async def run(self) -> str:
        """Wait."""
        return str(await self.wait_for_signal("go"))
