"""Workflows whose agents are killed one after the other: every step once, no attempt lost, nothing wrong."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random
import time
from pathlib import Path

import pytest

from coordination import journal
from coordination.coordinator import DistributedCoordinator
from tests.agent_samples import Effect
from tests.agent_tasks import process, until
from tests.core_harness import World

STEPS = 4


class EffectFlow(DistributedCoordinator):
    """Has effects in order, and adds up what they answer."""

    async def run(self, ledger: str) -> int:
        total = 0
        for number in range(STEPS):
            total += await self.dispatch_task("sample_effect", Effect(ledger, number, 0.15), returns=int)
        return total


def lines(ledger: Path) -> list[str]:
    """What has been written so far."""
    return ledger.read_text("ascii").splitlines() if ledger.exists() else []


@pytest.mark.once
async def test_agents_are_killed_while_workflows_run(core: World, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    ledger = tmp_path / "ledger"
    names = iter(f"w{number}" for number in range(100))
    async with contextlib.AsyncExitStack() as stack:
        await core.host()

        async def start() -> asyncio.subprocess.Process:
            arguments = ("--module", "tests.agent_samples", "--concurrency", "16", "--name", next(names))
            return await stack.enter_async_context(process(core.config, *arguments))

        workers = await asyncio.gather(*(start() for _ in range(4)))
        began = time.monotonic()
        ids = [await core.client.submit("effect_flow", str(ledger)) for _ in range(150)]
        waiting = asyncio.gather(*(core.client.result(found, timeout_s=90) for found in ids))
        dice.shuffle(workers)
        for victim, effects in zip(workers[:3], (60, 200, 350), strict=True):  # of at least 600
            await until(lambda effects=effects: len(lines(ledger)) >= effects, 60)
            victim.kill()
        results = await waiting
        took_s = time.monotonic() - began
    print(f"seed {seed}: {len(ids)} workflows with 3 of 4 agents killed took {took_s:.1f} s")
    assert set(results) == {sum(2 * number for number in range(STEPS))}
    keys = collections.Counter(line.split()[0] for line in lines(ledger))
    assert len(keys) == len(ids) * STEPS
    again = sum(keys.values()) - len(keys)
    print(f"{again} effects came again, all under the same key")
    for workflow_id in ids:
        entries = await core.journal(workflow_id)
        assert sum(isinstance(entry, journal.Settled) for entry in entries) == STEPS
        assert not [entry for entry in entries if isinstance(entry, journal.Erred)]  # a dead agent costs no attempt
