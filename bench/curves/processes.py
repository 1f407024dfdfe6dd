"""Throughput with one to four coordinator hosts, and with one to four agent processes.

Agents wait for 50 ms and take 32 tasks at a time, so that they are the limit and not the cores.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.cells import Cell, Result, Timing
from bench.cells import measure as measure_cell
from bench.curves.curve import Curve, Figure, Point, Shape
from bench.parts import Parts

SIZES = (1, 2, 3, 4)
IN_FLIGHT_EACH = 32  # for each agent process; a workflow asks for up to two tasks at a time
CONCURRENCY = "16"  # for each agent process: 320 tasks, so 80 workflows a second at most
AGENTS = "bench.waiting.agents"
_SHOWN = (Figure("p50_ms", "p50 ms"), Figure("p99_ms", "p99 ms"), Figure("cpu_ms_per_wf", "CPU-ms each"))

Tell = Callable[[str, int], None]


def hosts(sizes: tuple[int, ...], timing: Timing, tell: Tell) -> Curve:
    """More hosts for the same work: nothing should become slower."""
    curve = Curve(
        "hosts", "Coordinator hosts", "hosts", (Figure("wf_per_s", "workflows/s", Shape.NOT_LESS), *_SHOWN),
        note=f"Two agent processes that take {CONCURRENCY} tasks of 50 ms each at a time: they are the limit.",
    )  # fmt: skip
    with Parts() as stack:
        stack.workers(AGENTS, 2, "--concurrency", CONCURRENCY)
        for size in sizes:
            tell(f"{size} coordinator hosts", 0)
            running = stack.hosts(size)
            curve.points.append(_point(size, _loop(stack, 2, timing)))
            stack.end_all(running)
            tell(f"{size} coordinator hosts", 1)
    return curve


def agents(sizes: tuple[int, ...], timing: Timing, tell: Tell) -> Curve:
    """More agent processes: as many times the work."""
    figure = Figure("wf_per_s", "workflows/s", Shape.IN_PROPORTION)
    curve = Curve(
        "agents", "Agent processes", "processes", (figure, *_SHOWN),
        note=f"Each takes {CONCURRENCY} tasks of 50 ms at a time: 80 workflows a second at most. Two hosts.",
    )  # fmt: skip
    with Parts() as stack:
        stack.hosts(2)
        for size in sizes:
            tell(f"{size} agent processes", 0)
            running = stack.workers(AGENTS, size, "--concurrency", CONCURRENCY)
            curve.points.append(_point(size, _loop(stack, size, timing)))
            stack.end_all(running)
            tell(f"{size} agent processes", 1)
    return curve


def _loop(stack: Parts, processes: int, timing: Timing) -> Result:
    return measure_cell(
        stack, Cell("ganglion", IN_FLIGHT_EACH * processes, "", "50 ms", ("--agents", "bench_slow")), timing
    )


def _point(size: int, found: Result) -> Point:
    names = ("wf_per_s", "p50_ms", "p99_ms", "cpu_ms_per_wf")
    return Point(size, {name: getattr(found, name) for name in names})
