"""The server stands still for five seconds: no host and no agent is taken for dead, and no step is doubled."""

from __future__ import annotations

import asyncio
import signal
import time

from tests.chaos.scenarios import Options, Outcome
from tests.chaos.stage import stage

NAME = "stall"
_STILL_S = 5.0


async def run(options: Options) -> Outcome:
    """Run the scenario."""
    async with stage(options) as on:
        await on.drive(30)
        before = await on.members()
        options.say("the server stands still")
        on.crew.server.send(signal.SIGSTOP)
        await asyncio.sleep(_STILL_S)
        on.crew.server.send(signal.SIGCONT)
        awake = time.monotonic()
        await on.flows()
        on.figures["new_work_flows_s"] = time.monotonic() - awake
        await on.settle()
        on.count(set())
        on.nobody_died()
        after = await on.members()
        on.expect(after == before, f"taken for dead: {sorted((before[0] | before[1]) - after[0] - after[1])}")
        on.nothing_doubled()
        return on.outcome(NAME)
