"""One clear line when the server goes away, and one when it is back."""

from __future__ import annotations

import asyncio
import random
import time

import structlog
from redis.exceptions import ResponseError

from coordination.errors import WriteRefused

log = structlog.get_logger("agents")


class Outage:
    """Notes failures and successes of calls; speaks only when one follows the other."""

    def __init__(self) -> None:
        self._since = 0.0

    def failed(self, error: BaseException, running: int) -> None:
        """A call failed."""
        if self._since:
            return
        self._since = time.monotonic()
        what = "Redis refuses a call" if isinstance(error, ResponseError | WriteRefused) else "Redis cannot be used"
        log.warning(
            f"{what}; running tasks go on and report when it is back",
            action="server.lost", running=running, error=str(error),
        )  # fmt: skip

    def succeeded(self) -> None:
        """A call succeeded."""
        if not self._since:
            return
        log.info("Redis is back", action="server.back", away_s=round(time.monotonic() - self._since, 1))
        self._since = 0.0


def backoff_s(tries: int, most_s: float = 2.0) -> float:
    """Seconds before the next try: 50 ms doubled each time, at most ``most_s``, half of it random."""
    whole = min(most_s, 0.05 * 2.0 ** min(tries, 10))
    return float(whole * (0.5 + 0.5 * random.random()))


async def heard(event: asyncio.Event, within_s: float) -> bool:
    """Wait for an event, at most so long; returns whether it came."""
    try:
        async with asyncio.timeout(within_s):  # wait_for loses a cancellation before Python 3.12
            return await event.wait()
    except TimeoutError:
        return False
