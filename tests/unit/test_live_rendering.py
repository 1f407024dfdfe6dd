"""Readers who see the same share renderings, however their questions are spread over time."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from dashboard import consumers
from dashboard.consumers import Rendering

READERS = 10


class Made:
    """Renderings, counted."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.begun: list[float] = []
        self._takes_s = takes_s

    async def __call__(self) -> tuple[dict[str, str], bool]:
        self.begun.append(time.monotonic())
        await asyncio.sleep(self._takes_s)
        return {"rows": f"rendering {len(self.begun)}"}, False


async def read(rendering: Rendering, made: Made, for_s: float, later_s: float) -> int:
    await asyncio.sleep(later_s)
    count, until = 0, time.monotonic() + for_s
    while time.monotonic() < until:
        await rendering.since(time.monotonic(), made)  # something has changed just now
        count += 1
    return count


async def test_each_rendering_serves_all_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "FLUSH_S", 0.1)
    rendering, made = Rendering(), Made()

    counts = await asyncio.gather(*(read(rendering, made, 0.5, number * 0.013) for number in range(READERS)))

    apart = [later - earlier for earlier, later in itertools.pairwise(made.begun)]
    assert min(apart) >= 0.099
    assert sum(counts) > len(made.begun) * READERS / 2


async def test_what_is_slow_to_render_is_rendered_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "FLUSH_S", 0.01)
    rendering, made = Rendering(), Made(takes_s=0.05)

    for _ in range(3):
        await rendering.since(time.monotonic(), made)

    assert all(later - earlier >= 0.25 for earlier, later in itertools.pairwise(made.begun))


async def test_a_rendering_that_had_to_wait_once_does_not_delay_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "FLUSH_S", 0.01)
    rendering, quick, slow = Rendering(), Made(), Made(takes_s=0.5)

    for made in (quick, slow, quick):
        await rendering.since(time.monotonic(), made)

    assert quick.begun[1] - slow.begun[0] < 0.5 + 4 * 0.5


async def test_a_page_that_was_just_opened_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "FLUSH_S", 60.0)
    rendering, made = Rendering(), Made()
    await rendering.since(time.monotonic(), made)

    async with asyncio.timeout(5):
        assert await rendering.since(time.monotonic(), made, at_once=True) == {"rows": "rendering 2"}
