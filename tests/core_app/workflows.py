"""Workflows for hosts in processes of their own."""

from __future__ import annotations

import os
import time

from coordination import DistributedCoordinator


class CoreSteps(DistributedCoordinator):
    """So many steps, one after the other, two at a time in the middle."""

    async def run(self, steps: int) -> int:
        total = 0
        for number in range(steps - 2):
            total += await self.dispatch_task("core_tick", number)
        one, two = await self.gather(self.dispatch_task("core_tick", 100), self.dispatch_task("core_tick", 200))
        return int(total + one + two)


class CoreOpen(DistributedCoordinator):
    """Waits for a signal, then takes one step."""

    async def run(self) -> str:
        await self.wait_for_signal("go")
        return f"done {await self.dispatch_task('core_tick', 1)}"


class CoreExits(DistributedCoordinator):
    """Ends the process that runs it."""

    async def run(self) -> None:
        os._exit(9)


class CoreBlocks(DistributedCoordinator):
    """Blocks the process that runs it, once the test says so."""

    async def run(self) -> None:
        await self.wait_for_signal("go")
        time.sleep(20)
