"""Journals as Redis held them while workflows were on their way, to be compared with what the history keeps."""

from __future__ import annotations

import asyncio
import random

from redis.exceptions import ResponseError

from coordination import journal as j
from coordination.connection import Connection
from coordination.errors import TryAgain
from tests.chaos.drive import Driver
from tests.chaos.history import Kept
from tests.chaos.report import Report

_EVERY_S = 0.1
_MOST = 5_000  # workflows of which a sample is kept


class Samples:
    """Reads journals from Redis, of workflows in flight and of some at the moment of their end.

    Args:
        connection: One that no fault touches.
        driver: Tells which workflows are on their way.
        seed: Chooses among them.
    """

    def __init__(self, connection: Connection, driver: Driver, seed: int) -> None:
        self._connection = connection
        self._driver = driver
        self._rng = random.Random(seed)
        self._taken: dict[str, list[j.Numbered]] = {}

    async def run(self) -> None:
        """Sample until it is cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            if self._driver.living:
                await self.take(self._rng.choice(list(self._driver.living)))

    async def take(self, identity: str) -> None:
        """Read one journal, unless the server is away or has let it go."""
        if len(self._taken) >= _MOST and identity not in self._taken:
            return
        try:
            raw = await self._connection.call("XRANGE", self._connection.keys.journal(identity), "-", "+")
        except (TryAgain, ResponseError):
            return
        if raw:
            self.add(identity, j.parse(raw))

    def add(self, identity: str, entries: list[j.Numbered]) -> None:
        """Keep a journal as it was read."""
        self._taken[identity] = entries

    def compare(self, report: Report, kept: Kept) -> None:
        """The history must hold what Redis held, entry by entry; all of it, where the workflow had ended."""
        taken = self._taken.get(kept.id)
        if taken is None:
            return
        report.journals_compared += 1
        whole = isinstance(taken[-1].entry, j.Finished)
        report.journals_compared_whole += whole
        shown = kept.journal if whole else kept.journal[: len(taken)]
        if shown != taken:
            first = next((a.seq for a, b in zip(taken, shown, strict=False) if a != b), len(shown) + 1)
            report.expect(False, f"{kept.id}: the history differs from Redis from entry {first} on")
