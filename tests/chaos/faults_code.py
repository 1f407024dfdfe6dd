"""Workflow code that harms its host: it blocks the event loop, ends the process, or eats its memory."""

from __future__ import annotations

import asyncio

from tests.chaos.plans import Block, Crash, Node, Sequence, Work, total
from tests.chaos.record import FAILED, completed
from tests.chaos.scene import Kind, Scene, now_ms

_BLOCK_MS = 5_000
_MOST_DEATHS = 3  # hosts that one such workflow may end
_WAIT_S = 120.0


async def _run(scene: Scene, name: str, what: Node, outcome: str) -> dict[str, float]:
    """Run one workflow that does harm between two tasks, to its end; gives how many hosts it ended."""
    plan = Sequence([Work(1), what, Work(2)])
    bad = outcome == FAILED
    identity = f"{'bad' if bad else 'harm'}-{name}-{scene.seed}-{len(scene.fired)}"
    if bad:
        scene.bad.append(identity)
    fault = scene.note(name, identity)
    before = sum(host.restarts for host in scene.crew.hosts)
    try:
        async with asyncio.timeout(_WAIT_S):
            await scene.driver.one(identity, plan, outcome or completed(total(plan)))
    except TimeoutError:
        scene.broken.append(f"{identity} has not ended within {_WAIT_S:.0f} s")
    fault.until_ms = now_ms()
    fault.figures = {"host_deaths": sum(host.restarts for host in scene.crew.hosts) - before}
    return fault.figures


async def _loop_blocked(scene: Scene) -> None:
    """run() sleeps for 5 s as it must not; its host loses everything, and the workflow ends elsewhere."""
    await _run(scene, "loop_blocked", Block(_BLOCK_MS), "")


async def _crashes(scene: Scene, name: str, how: str) -> None:
    figures = await _run(scene, name, Crash(how), FAILED)
    if not 1 <= figures["host_deaths"] <= _MOST_DEATHS:
        scene.broken.append(f"{scene.bad[-1]} ended {figures['host_deaths']:.0f} hosts")


async def _run_exits(scene: Scene) -> None:
    """run() ends its process."""
    await _crashes(scene, "run_exits", "exit")


async def _run_eats_memory(scene: Scene) -> None:
    """run() eats 256 MiB, and its process is ended for it."""
    await _crashes(scene, "run_eats_memory", "memory")


KINDS: dict[str, Kind] = {
    "loop_blocked": _loop_blocked,
    "run_exits": _run_exits,
    "run_eats_memory": _run_eats_memory,
}
