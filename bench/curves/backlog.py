"""Throughput against the number of workflows that wait to be taken up."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from bench.cells import Timing
from bench.curves.curve import Curve, Figure, Point, Shape
from bench.parts import Parts
from bench.talk import Helper

SIZES = (1_000, 10_000, 100_000, 1_000_000)
NOTE = (
    "Two hosts are held back until so many workflows are queued and mirrored; then as many are submitted as end."
    " p50 and p99 run from being taken up to the end; a new workflow waits for those before it first."
)


def measure(sizes: tuple[int, ...], timing: Timing, tell: Callable[[str, int], None]) -> Curve:
    """Fill the queues further and further, and let the hosts work at each length."""
    curve = Curve(
        "backlog", "Backlog", "workflows queued",
        (
            Figure("wf_per_s", "workflows/s", Shape.NOT_LESS),
            Figure("p50_ms", "p50 ms"),
            Figure("p99_ms", "p99 ms"),
            Figure("cpu_ms_per_wf", "CPU-ms each"),
            Figure("fill_per_s", "submitted/s"),
        ),
        note=NOTE,
    )  # fmt: skip
    # GANGLION_BACKLOG counts for each shard, and a million spread by hash does not fill all alike
    with Parts({"GANGLION_BACKLOG": "4000000"}) as stack, Helper(stack, "bench.driver") as driver:
        stack.workers("bench.workload.agents", 1)
        for size in sizes:
            tell(f"filling the queues with {size:,}", 0)
            before = driver.ask("live")
            took_s = driver.ask("queue", to=size)
            driver.ask("mirrored", patience_s=1_800)
            hosts = stack.hosts(2)
            runs = []
            for _ in range(timing.repeats):
                tell(f"a backlog of {size:,}", 0)
                pids = [process.pid for process in stack.processes]
                warm_s, window_s = timing.warm_s, timing.window_s
                runs.append(driver.ask("drain", keep=size, warm_s=warm_s, window_s=window_s, pids=pids))
            stack.end_all(hosts)
            values = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            values["fill_per_s"] = round((size - before) / max(took_s, 0.01))
            curve.points.append(Point(size, values))
            tell(f"a backlog of {size:,}", 1)
    return curve
