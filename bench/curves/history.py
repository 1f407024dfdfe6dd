"""Throughput against the number of workflows in the history."""

from __future__ import annotations

from collections.abc import Callable

from bench.cells import Cell, Sample, Timing, sample, summary
from bench.curves.curve import Curve, Figure, Point, Shape
from bench.history import store
from bench.parts import Parts

SIZES = (0, 10_000, 100_000, 1_000_000)
IN_FLIGHT = 200
NOTE = (
    f"{IN_FLIGHT} workflows in a closed loop, while the relay writes into a SQLite history that holds so many"
    " already; the sizes take turns. How long the history goes on after the last end is counted too, as processor time."
)


def measure(sizes: tuple[int, ...], timing: Timing, tell: Callable[[str, int], None]) -> Curve:
    """Begin with a longer and longer history."""
    curve = Curve(
        "history", "Length of the history", "workflows in SQL",
        (
            Figure("wf_per_s", "workflows/s", Shape.NOT_LESS),
            Figure("cpu_ms_per_wf", "CPU-ms each", Shape.NOT_MORE),
            Figure("relay_ms", "of which the relay"),
            Figure("p99_ms", "p99 ms"),
            Figure("behind_s", "history complete after s"),
        ),
        note=NOTE,
    )  # fmt: skip
    cell = Cell("ganglion", IN_FLIGHT, "")
    samples: dict[int, list[Sample]] = {size: [] for size in sizes}
    for _ in range(timing.repeats):
        for size in sizes:
            tell(f"a history of {size:,} workflows", 0)
            with Parts(history=store.sqlite(size) / "ganglion.sqlite3") as stack:
                stack.workers("bench.workload.agents", 1)
                stack.hosts(2)
                samples[size].append(sample(stack, cell, timing))
    for size in sizes:
        found = summary(cell, samples[size])
        values = {
            "wf_per_s": found.wf_per_s,
            "p99_ms": found.p99_ms,
            "cpu_ms_per_wf": found.cpu_ms_per_wf,
            "relay_ms": found.cpu_by_process.get("relay", 0.0),
            "behind_s": found.behind_s,
        }
        curve.points.append(Point(size, values))
        tell(f"a history of {size:,} workflows", 1)
    return curve
