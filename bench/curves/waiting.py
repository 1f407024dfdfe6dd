"""Throughput beside workflows that are in flight and mostly wait."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from bench.cells import Cell, Sample, Timing, sample, summary
from bench.curves.curve import Curve, Figure, Point, Shape
from bench.parts import Parts
from bench.talk import Helper

SIZES = (100, 1_000, 5_000, 20_000)
IN_FLIGHT = 100
STAY = {"GANGLION_PARK_AFTER_S": "3600"}  # so that they stay in their hosts' memory
NOTE = (
    f"{IN_FLIGHT} workflows of four steps in a closed loop, beside so many that have done a step and wait for a"
    " signal. Parking is put off, so that all of them stay in the memory of two hosts. Each size has a Ganglion of its"
    " own; all stand at the same time and are measured in turns."
)


def measure(sizes: tuple[int, ...], timing: Timing, tell: Callable[[str, int], None]) -> Curve:
    """Let more and more wait, and run the closed loop beside them."""
    curve = Curve(
        "in_flight", "Coordinators that wait", "in flight",
        (
            Figure("wf_per_s", "workflows/s", Shape.NOT_LESS),
            Figure("p99_ms", "p99 ms", Shape.NOT_MORE),
            Figure("p50_ms", "p50 ms"),
            Figure("cpu_ms_per_wf", "CPU-ms each"),
            Figure("hosts_mb", "both hosts MB"),
        ),
        note=NOTE,
    )  # fmt: skip
    cell = Cell("ganglion", IN_FLIGHT, "")
    samples: dict[int, list[Sample]] = {size: [] for size in sizes}
    with contextlib.ExitStack() as open_stacks:
        standing = {}
        for size in sizes:
            tell(f"{size:,} coordinators that wait", 0)
            stack = standing[size] = open_stacks.enter_context(Parts(STAY))
            driver = open_stacks.enter_context(Helper(stack, "bench.driver"))
            stack.workers("bench.workload.agents", 1)
            stack.hosts(2)
            driver.ask("hold", to=size)
            driver.ask("mirrored")
        for _ in range(timing.repeats):
            for size, stack in standing.items():
                samples[size].append(sample(stack, cell, timing))
    for size in sizes:
        found = summary(cell, samples[size])
        hosts_mb = sum(mb for name, mb in found.rss_mb.items() if name.startswith("coordinator-"))
        values = {
            "wf_per_s": found.wf_per_s,
            "p50_ms": found.p50_ms,
            "p99_ms": found.p99_ms,
            "cpu_ms_per_wf": found.cpu_ms_per_wf,
            "hosts_mb": round(hosts_mb, 1),
        }
        curve.points.append(Point(size, values))
        tell(f"{size:,} coordinators that wait", 1)
    return curve
