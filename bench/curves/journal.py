"""What a step costs at the end of a long journal, and how long the journal takes to replay."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from bench.curves.curve import Curve, Figure, Point, Shape
from bench.loop import percentile
from bench.parts import Parts
from bench.talk import Helper

SIZES = (10, 100, 1_000, 10_000)
MANY = 8  # workflows side by side
NOTE = (
    f"{MANY} workflows side by side take so many steps one after another. A step is timed by its journal, over the"
    " last half of the way. Replay runs from a signal to the end of one that had left memory."
)


def measure(sizes: tuple[int, ...], tell: Callable[[str, int], None]) -> Curve:
    """Walk further and further."""
    curve = Curve(
        "journal", "Length of the journal", "steps",
        (
            Figure("step_ms", "ms a step", Shape.NOT_MORE),
            Figure("step_p99_ms", "p99 of a step, ms"),
            Figure("replay_ms", "ms to replay"),
            Figure("replay_us_per_step", "µs to replay a step", Shape.NOT_MORE),
        ),
        note=NOTE,
    )  # fmt: skip
    with Parts({"GANGLION_PARK_AFTER_S": "2"}) as stack, Helper(stack, "bench.driver") as driver:
        stack.workers("bench.workload.agents", 1)
        stack.hosts(1)
        driver.ask("walk", steps=sizes[0], many=MANY)  # what is done for the first time takes longer
        driver.ask("replay", steps=sizes[0])
        for size in sizes:
            tell(f"{size:,} steps", 0)
            by_place = driver.ask("walk", steps=size, many=MANY)
            late = sorted(ms for place, took in by_place.items() if int(place) >= size // 2 for ms in took)
            replay_ms = statistics.median(driver.ask("replay", steps=size))
            values = {
                "step_ms": round(statistics.mean(late), 2),
                "step_p99_ms": percentile(late, 0.99),
                "replay_ms": replay_ms,
                "replay_us_per_step": round(replay_ms * 1000 / size, 1),
            }
            curve.points.append(Point(size, values))
            tell(f"{size:,} steps", 1)
    return curve
