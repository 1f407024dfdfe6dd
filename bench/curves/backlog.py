"""Throughput against the number of workflows that wait to be taken up."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable
from typing import Any

from bench.cells import Timing
from bench.curves.curve import Curve, Figure, Point, Shape
from bench.parts import Parts
from bench.talk import Helper
from coordination.config import Config

HOSTS = 2
SIZES = (1_000, 10_000, 100_000, 1_000_000)
NOTE = (
    "Two hosts are held back until so many workflows are queued and mirrored; then as many are submitted as end."
    " All backlogs stand at the same time, each on a server of its own, and are worked off in turns."
    " p50 and p99 run from being taken up to the end; a new workflow waits for those before it first."
    f" A host takes up no new ones while {Config().host_at_work:,} of its own are at work (GANGLION_HOST_AT_WORK)."
)


def measure(sizes: tuple[int, ...], timing: Timing, tell: Callable[[str, int], None]) -> Curve:
    """Fill the queues of one Ganglion for each length, and let the hosts of one after another work."""
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
    runs: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    with contextlib.ExitStack() as open_stacks:
        standing = {}
        for size in sizes:
            tell(f"filling the queues with {size:,}", 0)
            # GANGLION_BACKLOG counts for each shard, and a million spread by hash does not fill all alike
            stack = open_stacks.enter_context(Parts({"GANGLION_BACKLOG": "4000000"}))
            driver = open_stacks.enter_context(Helper(stack, "bench.driver"))
            stack.workers("bench.workload.agents", 1)
            stack.end_all(stack.hosts(1))  # the first host ever looks at all that it finds
            standing[size] = (stack, driver, size / max(driver.ask("queue", to=size), 0.01))
            driver.ask("mirrored", patience_s=1_800)
        for _ in range(timing.repeats):
            for size, (stack, driver, _fill_per_s) in standing.items():
                tell(f"a backlog of {size:,}", 0)
                driver.ask("queue", to=size)
                driver.ask("mirrored", patience_s=1_800)
                hosts = stack.hosts(HOSTS)
                pids = [process.pid for process in stack.processes]
                told = {"keep": size, "hosts": HOSTS, "warm_s": timing.warm_s, "window_s": timing.window_s}
                runs[size].append(driver.ask("drain", **told, pids=pids))
                stack.end_all(hosts)
    for size in sizes:
        values = {name: statistics.median(run[name] for run in runs[size]) for name in runs[size][0]}
        curve.points.append(Point(size, {**values, "fill_per_s": round(standing[size][2])}))
        tell(f"a backlog of {size:,}", 1)
    return curve
