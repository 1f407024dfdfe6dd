"""The closed loop counts what it says: throughput, latency, failures, and nothing of the warm-up."""

from __future__ import annotations

import asyncio
import os

import pytest

from bench.loop import Measure, Plan, measure, percentile
from bench.processes import cpu_ms_by_pid, rss_bytes, tree


def test_percentiles_are_values_that_were_measured() -> None:
    ordered = [float(number) for number in range(1, 101)]
    assert percentile(ordered, 0.5) == 50.0
    assert percentile(ordered, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([], 0.5) == 0.0


def _run(in_flight: int, most: int, fails: bool = False, warm_s: float = 0.0) -> tuple[Measure, int]:
    flying = {"now": 0, "most": 0}

    async def execute(number: int) -> None:
        flying["now"] += 1
        flying["most"] = max(flying["most"], flying["now"])
        try:
            await asyncio.sleep(0.005)
            if fails and number % 2:
                raise ValueError("no")
        finally:
            flying["now"] -= 1

    found = asyncio.run(measure(execute, Plan(in_flight, warm_s, 0.3, most, [os.getpid()]), None))
    return found, flying["most"]


def test_so_many_are_in_flight_and_no_more() -> None:
    found, most = _run(in_flight=7, most=10_000)
    assert most == 7
    assert found.failed == 0
    assert found.p50_ms >= 5
    assert found.completed > 0
    assert found.wf_per_s == pytest.approx(found.completed / 0.3, rel=0.01)


def test_failures_are_counted_and_never_as_completed() -> None:
    found, _ = _run(in_flight=4, most=400, fails=True)
    assert found.failed > 0
    assert found.completed + found.failed <= 400


def test_the_limit_in_count_ends_a_run() -> None:
    found, _ = _run(in_flight=2, most=20)
    assert found.completed <= 20


def test_processor_time_and_memory_of_this_process_are_read() -> None:
    sum(range(2_000_000))
    me = os.getpid()
    assert cpu_ms_by_pid([me])[me] > 0
    assert rss_bytes(me) > 1_000_000
    assert me in [process.pid for process in tree(me)]
    assert rss_bytes(2**22 + 1) == 0
    assert cpu_ms_by_pid([2**22 + 1]) == {}
