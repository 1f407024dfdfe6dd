"""The closed loop that every engine is measured by. Imports nothing that is not in the standard library.

So many workflows are in flight at any time; each that ends is followed by the next. After a warm-up, ends are
counted for a while; then nothing new is started, and when all work, also what runs behind (history), is done,
processor time is read once more: what is put off is paid for, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.processes import cpu_ms_by_pid

Execute = Callable[[int], Awaitable[object]]

DRAIN_S = 150.0
WARM_MOST_S = 90.0
WINDOW_MOST_S = 30.0


@dataclass(frozen=True)
class Plan:
    """How one run goes.

    Attributes:
        in_flight: Workflows at the same time.
        warm_s: Not counted.
        window_s: Counted; longer where a workflow takes longer than half of it.
        most: Workflows after which the run ends however long it took.
        pids: Processes whose time is counted with that of what they start, the client's own beside them.
        per_s: Workflows that begin each second at most; 0 where each end is followed by the next begin.
    """

    in_flight: int
    warm_s: float
    window_s: float
    most: int
    pids: list[int]
    per_s: float = 0.0

    @classmethod
    def of(cls, chosen: argparse.Namespace) -> Plan:
        """As the options say that ``add_options`` adds."""
        return cls(chosen.in_flight, chosen.warm, chosen.window, chosen.most, chosen.pids, chosen.per_s)


def add_options(parser: argparse.ArgumentParser, patience_s: float) -> None:
    """What every client of a run takes: its plan, its patience with one workflow, and where it keeps a record."""
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--warm", type=float, required=True)
    parser.add_argument("--window", type=float, required=True)
    parser.add_argument("--most", type=int, default=200_000)
    parser.add_argument("--per-s", type=float, default=0.0)
    parser.add_argument("--patience", type=float, default=patience_s)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--pids", type=int, nargs="*", default=[])


@dataclass(frozen=True)
class Measure:
    """What one run gave."""

    in_flight: int
    completed: int
    failed: int
    seconds: float
    wf_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms_per_wf: float
    cpu_by_pid: dict[int, float]  # of which, by process
    behind_s: float  # how long the work behind (history) went on after the last end

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


@dataclass
class _State:
    """Where a run stands."""

    number: int = 0
    failed: int = 0
    warm: int = 0  # ends before counting began
    used: dict[int, float] = field(default_factory=dict)  # processor time until then
    since: float = float("inf")
    until: float = float("inf")


def percentile(ordered: list[float], share: float) -> float:
    """The value below which a share of an ordered list lies, by nearest rank; 0 for an empty list."""
    if not ordered:
        return 0.0
    return ordered[max(0, min(len(ordered), math.ceil(len(ordered) * share - 1e-9)) - 1)]


async def measure(execute: Execute, plan: Plan, settled: Callable[[], Awaitable[None]] | None) -> Measure:
    """Run the closed loop.

    Args:
        execute: Does one workflow from submit to its known result; raises when it did not succeed.
        plan: How.
        settled: Returns when the work behind is done.
    """
    clock = time.perf_counter
    began = clock()
    ends: list[tuple[float, float]] = []  # (when, seconds)
    state = _State()

    async def one_after_another() -> None:
        while clock() < state.until and state.number < plan.most:
            state.number += 1
            if plan.per_s:
                await asyncio.sleep(began + state.number / plan.per_s - clock())
            start = clock()
            try:
                await execute(state.number)
            except Exception as error:
                state.failed += 1
                if state.failed == 1:
                    print(f"first failure: {error!r}", flush=True)
                await asyncio.sleep(0.01)
                continue
            now = clock()
            ends.append((now, now - start))

    async def warm_up() -> None:
        """Begin to count when time has passed and each place in the loop has been used once."""
        await asyncio.sleep(plan.warm_s)
        for _ in range(int(WARM_MOST_S / 0.02)):
            if len(ends) >= min(plan.in_flight, plan.most):
                break
            await asyncio.sleep(0.02)
        state.warm, state.used = len(ends), _used(plan.pids)
        state.since = clock()
        usual_s = percentile(sorted(took for _, took in ends), 0.5)  # a window shorter than a workflow would mislead
        state.until = state.since + max(plan.window_s, min(2 * usual_s, WINDOW_MOST_S))

    warming = asyncio.create_task(warm_up(), name="warm-up")
    users = [asyncio.create_task(one_after_another(), name=f"user-{n}") for n in range(plan.in_flight)]
    _, late = await asyncio.wait(users, timeout=plan.warm_s + WARM_MOST_S + max(plan.window_s, WINDOW_MOST_S) + DRAIN_S)
    for user in late:
        user.cancel()
    warming.cancel()
    last = clock()
    if settled is not None:
        await settled()
    behind_s = clock() - last
    done = max(1, len(ends) - state.warm)
    used = {pid: (ms - state.used.get(pid, ms)) / done for pid, ms in _used(plan.pids).items()}
    counted = [(at, took) for at, took in ends if state.since <= at <= state.until]
    short = state.number >= plan.most and counted  # the limit in count came before that in time
    seconds = (min(state.until, counted[-1][0]) if short else state.until) - state.since if counted else plan.window_s
    latencies = sorted(took * 1000 for _, took in counted)
    return Measure(
        in_flight=plan.in_flight,
        completed=len(counted),
        failed=state.failed + len(late),
        seconds=round(seconds, 3),
        wf_per_s=round(len(counted) / seconds, 1) if seconds > 0 else 0.0,
        p50_ms=round(percentile(latencies, 0.5), 2),
        p95_ms=round(percentile(latencies, 0.95), 2),
        p99_ms=round(percentile(latencies, 0.99), 2),
        cpu_ms_per_wf=round(sum(used.values()), 3),
        cpu_by_pid={pid: round(ms, 3) for pid, ms in used.items()},
        behind_s=round(behind_s, 2),
    )


def _used(pids: list[int]) -> dict[int, float]:
    """Processor time of the processes, and of this one, which is the client."""
    return {**cpu_ms_by_pid(pids), os.getpid(): time.process_time() * 1000}
