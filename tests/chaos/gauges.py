"""What must stay flat in the long run, sampled while faults are at work."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable

from redis.exceptions import ResponseError

from coordination.connection import Connection
from coordination.errors import TryAgain
from coordination.inspect import Inspector
from tests.chaos.check_server import depths
from tests.chaos.report import Gauge

_SAMPLE_S = 2.0
_LEAST_SAMPLES = 60  # fewer cannot tell: results stay for two minutes
_GROWTH = 1.3  # of the last third's mean over the middle one's
_NOISE = {
    "pending entries": 500.0,
    "stream entries": 2_000.0,
    "consumers": 20.0,
    "memory MiB": 8.0,
    "connections": 20.0,
}


class Gauges:
    """Samples the server until it is cancelled.

    Args:
        connection: One that no fault touches.
        in_flight: Workflows in flight now.
    """

    def __init__(self, connection: Connection, in_flight: Callable[[], int]) -> None:
        self._connection = connection
        self._in_flight = in_flight
        self._samples: dict[str, list[float]] = {name: [] for name in (*_NOISE, "workflows in flight")}

    async def run(self) -> None:
        """Sample; a server that does not answer is left out."""
        inspect = Inspector(self._connection)
        while True:
            await asyncio.sleep(_SAMPLE_S)
            try:
                server, found = await inspect.server(), await depths(self._connection)
            except (TryAgain, ResponseError):
                continue
            self._note(
                server["used_memory"] / 2**20,
                server["connected"],
                sum(pending for _, pending, _ in found.values()),
                sum(length for length, _, _ in found.values()),
                sum(consumers for _, _, consumers in found.values()),
            )

    def _note(self, memory: float, connections: int, pending: int, length: int, consumers: int) -> None:
        for name, value in (
            ("memory MiB", memory), ("connections", connections), ("pending entries", pending),
            ("stream entries", length), ("consumers", consumers), ("workflows in flight", self._in_flight()),
        ):  # fmt: skip
            self._samples[name].append(round(value, 1))

    def read(self) -> list[Gauge]:
        """What was sampled, and whether it was flat."""
        gauges = []
        for name, values in self._samples.items():
            third = len(values) // 3
            gauge = Gauge(name, values)
            if third:
                gauge.middle = round(statistics.fmean(values[third : 2 * third]), 1)
                gauge.last = round(statistics.fmean(values[2 * third :]), 1)
            if len(values) >= _LEAST_SAMPLES and name in _NOISE:
                gauge.flat = gauge.last <= gauge.middle * _GROWTH + _NOISE[name]
            gauges.append(gauge)
        return gauges
