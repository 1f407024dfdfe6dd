"""One cell of the table: so many runs of a client process, of which the median is kept."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.processes import rss_bytes
from bench.stack import ROOT, Private, StackFailed

EVERYSEC = "appendonly everysec"
MEDIANS = ("wf_per_s", "p50_ms", "p95_ms", "p99_ms", "cpu_ms_per_wf", "behind_s")


@dataclass(frozen=True)
class Timing:
    """How long runs take, and how many there are of each."""

    warm_s: float
    window_s: float
    repeats: int


@dataclass(frozen=True)
class Cell:
    """What is measured."""

    engine: str
    in_flight: int
    durability: str  # in words, for the table
    agents: str = "no-op"
    client: tuple[str, ...] = ()  # further arguments of the client
    command: tuple[str, ...] = (sys.executable, "-m", "bench.client")


@dataclass
class Result:
    """What a cell gave: medians, and the spread of the throughput."""

    engine: str
    in_flight: int
    durability: str
    agents: str
    wf_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms_per_wf: float
    behind_s: float
    repeats: int
    completed: int
    failed: int
    wf_per_s_runs: list[float]
    cpu_by_process: dict[str, float] = field(default_factory=dict)
    rss_mb: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class Sample:
    """What one run gave."""

    run: dict[str, Any]
    cpu_by_process: dict[str, float]
    rss_mb: dict[str, float]


def measure(stack: Private, cell: Cell, timing: Timing, done: Callable[[], None] = lambda: None) -> Result:
    """Run a cell as often as is wanted.

    Raises:
        StackFailed: The client failed, or nothing was completed.
    """
    samples = []
    for _ in range(timing.repeats):
        samples.append(sample(stack, cell, timing))
        done()
    return summary(cell, samples)


def sample(stack: Private, cell: Cell, timing: Timing) -> Sample:
    """Run a cell once.

    Raises:
        StackFailed: As ``measure``.
    """
    run = once(stack, cell, timing)
    names = {process.pid: process.name for process in stack.processes}
    used: dict[str, float] = {}
    for pid, ms in run["cpu_by_pid"].items():
        name = names.get(int(pid), "client")
        used[name] = round(used.get(name, 0.0) + ms, 3)
    return Sample(run, dict(sorted(used.items(), key=lambda item: -item[1])), memory(stack))


def summary(cell: Cell, samples: Sequence[Sample]) -> Result:
    """The medians of a cell's runs; processor time and memory of each process are those of the middle run."""
    runs = [one.run for one in samples]
    medians = {name: round(statistics.median(run[name] for run in runs), 3) for name in MEDIANS}
    middle = min(samples, key=lambda one: abs(one.run["cpu_ms_per_wf"] - medians["cpu_ms_per_wf"]))
    return Result(
        cell.engine, cell.in_flight, cell.durability, cell.agents, **medians,
        repeats=len(runs),
        completed=sum(run["completed"] for run in runs),
        failed=sum(run["failed"] for run in runs),
        wf_per_s_runs=[run["wf_per_s"] for run in runs],
        cpu_by_process=middle.cpu_by_process,
        rss_mb=middle.rss_mb,
    )  # fmt: skip


def memory(stack: Private) -> dict[str, float]:
    """Resident memory of each process, in MB."""
    found: dict[str, float] = {}
    for process in stack.processes:
        found[process.name] = round(found.get(process.name, 0.0) + rss_bytes(process.pid) / 1e6, 1)
    return found


def client_arguments(stack: Private, cell: Cell, warm_s: float, window_s: float) -> Sequence[str]:
    """The command line of one run's client."""
    pids = [str(process.pid) for process in stack.processes]
    return [
        *cell.command, *cell.client, "--in-flight", str(cell.in_flight), "--warm", f"{warm_s:g}",
        "--window", f"{window_s:g}", "--pids", *pids,
    ]  # fmt: skip


def once(stack: Private, cell: Cell, timing: Timing) -> dict[str, Any]:
    """One run."""
    try:
        answer = subprocess.run(
            client_arguments(stack, cell, timing.warm_s, timing.window_s), cwd=ROOT, env=stack.client_environ,
            capture_output=True, text=True, check=False, timeout=timing.warm_s + timing.window_s + 300,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise StackFailed(f"The client of {cell.engine} at {cell.in_flight} in flight did not end.") from None
    *said, last = answer.stdout.strip().splitlines() or [""]
    if answer.returncode or not last.startswith("{"):
        raise StackFailed(
            f"The client of {cell.engine} at {cell.in_flight} in flight failed: "
            f"{' | '.join((answer.stderr or answer.stdout).strip().splitlines()[-3:])}"
        )
    run: dict[str, Any] = json.loads(last)
    if not run["completed"]:
        raise StackFailed(f"{cell.engine} completed nothing at {cell.in_flight} in flight: {' | '.join(said[-2:])}")
    return run
