"""What travels between the steps of a peer, as large as Ganglion's own, and how long a step takes.

Imports nothing that is not in the standard library: it is used in the environments of the peers.
"""

from __future__ import annotations

import asyncio
import os
import time

STEP_S = float(os.environ.get("BENCH_STEP_S", "0"))


def _filled(size: int) -> dict[str, str]:
    return {"text": ("the quick brown fox jumps over the lazy dog " * 8)[: size - len('{"text":""}')]}


DOCUMENT = _filled(300)
FINDING = _filled(150)


async def work() -> None:
    """Take as long as a step takes; the usual step takes no time."""
    if STEP_S:
        await asyncio.sleep(STEP_S)


def work_blocking() -> None:
    """The same in engines that run a step in a thread or a process."""
    if STEP_S:
        time.sleep(STEP_S)
