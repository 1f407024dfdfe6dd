"""The whole measurement, part by part, and what it found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import central, commands, console, lists, memory, recovery
from bench.cells import EVERYSEC, Cell, Result, Sample, Timing, sample, summary
from bench.curves import run as curves
from bench.curves.curve import Curve
from bench.options import COMPARED, Options
from bench.peers import comparison
from bench.peers import runs as peers
from bench.stack import Bare, Stack, StackFailed

FSYNC = "fsync before the submit is acknowledged"
NONE = "none: state in memory"
CENTRAL, EVENT_DRIVEN = "central", "central, event-driven"

Tell = Callable[[str, int], None]  # what is measured now, and how many steps are done


@dataclass
class Found:
    """Everything that was measured."""

    runs: list[Result] = field(default_factory=list)
    costs: list[commands.Cost] = field(default_factory=list)
    memory: memory.Memory | None = None
    recoveries: list[recovery.Recovery] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    console: console.Shown | None = None
    lists: list[lists.Listed] = field(default_factory=list)
    compared: peers.Compared = field(default_factory=peers.Compared)
    left_out: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def find(self, engine: str, in_flight: int, agents: str = "no-op", durability: str = "") -> Result | None:
        """One cell, if it was measured."""
        wanted = (engine, in_flight, agents)
        same = (run for run in self.runs if (run.engine, run.in_flight, run.agents) == wanted)
        return next((run for run in same if not durability or run.durability == durability), None)

    def ratios(self) -> dict[str, float]:
        """How Ganglion compares with the others in this very measurement."""
        return {**self.own_ratios(), **comparison.to_dict(self.peer_ratios())}

    def own_ratios(self) -> dict[str, float]:
        """Ganglion against the central brains, and its own durable form against the usual one."""
        found: dict[str, float] = {}
        for theirs in self.runs:
            if theirs.engine not in (CENTRAL, EVENT_DRIVEN):
                continue
            ours = self.find("ganglion", theirs.in_flight, theirs.agents, EVERYSEC)
            if ours and theirs.wf_per_s and theirs.p99_ms:
                what = f"{theirs.engine}; {theirs.agents} agents, {theirs.in_flight} in flight"
                found[f"{what}: workflows/s"] = round(ours.wf_per_s / theirs.wf_per_s, 2)
                found[f"{what}: p99"] = round(ours.p99_ms / theirs.p99_ms, 3)
        safe, fast = self.find("ganglion", 200, durability=FSYNC), self.find("ganglion", 200, durability=EVERYSEC)
        if safe and fast:
            found["fsync against everysec, 200 in flight: workflows/s"] = round(safe.wf_per_s / fast.wf_per_s, 2)
        return found

    def peer_ratios(self) -> list[comparison.Ratio]:
        """Ganglion with everything on against each other engine, from the rounds in which they took turns."""
        return comparison.compare(self.compared.ours, self.compared.runs, peers.TARGETS)

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "runs": [run.to_dict() for run in self.runs],
            "ratios": self.ratios(),
            "memory": self.memory.to_dict() if self.memory else None,
            "commands": [asdict(cost) for cost in self.costs],
            "recovery": [found.to_dict() for found in self.recoveries],
            "curves": [curve.to_dict() for curve in self.curves],
            "console": self.console.to_dict() if self.console else None,
            "lists": [listed.to_dict() for listed in self.lists],
            "peers": self.compared.abouts,
            "against": comparison.rows(self.peer_ratios()),
            "left_out": [*self.left_out, *self.failures],
        }


def steps(options: Options) -> int:
    """How many steps the measurement has, for showing how far it is."""
    runs = {
        "memory": 1 if options.quick else 1 + 2 * options.timing.repeats,
        "commands": 1,
        "ganglion": len(options.levels) * options.timing.repeats,
        "fsync": len(options.fsync_levels) * options.timing.repeats,
        "waiting": len(COMPARED) * options.timing.repeats,
        "central": 3 * len(COMPARED) * options.timing.repeats + len(options.patient_levels),
        "recovery": 3,
        "console": 1 + 2 * options.timing.repeats,
        "lists": 2,
    }
    return sum(runs.get(part, 0) for part in options.parts) + curves.steps(options) + peers.steps(options) + 1


def run(options: Options, found: Found, tell: Tell) -> None:
    """Measure everything that was asked for, into ``found``.

    Raises:
        StackFailed: Something did not start, or did nothing.
    """
    parts = set(options.parts)
    if "memory" in parts:
        found.memory = memory.measure(options.waiting_workflows, options.timing, tell, not options.quick)
    if parts & {"commands", "ganglion", "fsync", "waiting", "recovery"}:
        tell("starting Ganglion", 0)
        with Stack(options.hosts) as stack:
            tell("starting Ganglion", 1)
            _ganglion(stack, options, found, tell)
    if {"central", "recovery"} & parts:
        for engine in (CENTRAL, EVENT_DRIVEN):
            tell(f"starting the brain: {engine}", 0)
            with Bare() as bare:
                _central(bare, engine, options, found, tell)
    if options.peers:
        peers.run(options, found.compared, tell)
        found.runs += [*found.compared.ours, *found.compared.runs]
        found.recoveries += found.compared.recoveries
        found.left_out += found.compared.left_out
    for name in curves.names(options):
        try:
            found.curves.append(curves.measure(name, options, tell))
        except StackFailed as error:  # the others are measured all the same
            found.failures.append(f"{name}: {error}")
    if "console" in parts:
        found.console, left_out = console.measure(options.timing, tell)
        found.left_out += left_out
    if "lists" in parts:
        found.lists, left_out = lists.measure(options.listed_workflows, tell)
        found.left_out += left_out


def _ganglion(stack: Stack, options: Options, found: Found, tell: Tell) -> None:
    parts = options.parts
    if "commands" in parts:
        tell("commands of a workflow", 0)
        found.costs = commands.count(stack)
        tell("commands of a workflow", 1)
    cells = [Cell("ganglion", level, EVERYSEC) for level in options.levels if "ganglion" in parts]
    if "fsync" in parts:
        cells += [Cell("ganglion", level, FSYNC, client=("--durability", "fsync")) for level in options.fsync_levels]
    _cells(stack, cells, options.timing, found, tell)
    if {"waiting", "recovery"} & set(parts):
        stack.waiting_agents()
    if "waiting" in parts:
        slow = [Cell("ganglion", level, EVERYSEC, "50 ms", ("--agents", "bench_slow")) for level in COMPARED]
        _cells(stack, slow, options.timing, found, tell)
    if "recovery" in parts and options.hosts > 1:
        tell("killing a coordinator host", 0)
        found.recoveries.append(recovery.ganglion(stack))
        tell("killing a coordinator host", 1)


def _central(bare: Bare, engine: str, options: Options, found: Found, tell: Tell) -> None:
    command = ["-m", "bench.central"] + (["--event-driven"] if engine == EVENT_DRIVEN else [])
    brain = bare.run_python(*command, announces=central.READY)
    if "central" in options.parts:
        quick = [Cell(engine, level, NONE, client=("--engine", "central")) for level in COMPARED]
        _cells(bare, quick, options.timing, found, tell)
    bare.waiting_agents()
    if "central" in options.parts:
        patient = engine == CENTRAL
        timing = dataclasses.replace(options.timing, repeats=1) if patient else options.timing
        client = ("--engine", "central", "--agents", "bench_slow")
        levels = options.patient_levels if patient else COMPARED
        _cells(bare, [Cell(engine, level, NONE, "50 ms", client) for level in levels], timing, found, tell)
    if "recovery" in options.parts and engine == EVENT_DRIVEN:
        tell("killing the central brain", 0)
        found.recoveries.append(recovery.brain(bare, brain, command))
        tell("killing the central brain", 1)


def _cells(stack: Stack | Bare, cells: list[Cell], timing: Timing, found: Found, tell: Tell) -> None:
    """Measure cells in turns, because a machine that others share is quicker in one minute than in the next."""
    samples: dict[Cell, list[Sample]] = {cell: [] for cell in cells}
    for _ in range(timing.repeats):
        for cell in cells:
            agents = "" if cell.agents == "no-op" else f", agents that wait {cell.agents}"
            durability = ", fsync" if cell.durability == FSYNC else ""
            what = f"{cell.engine}, {cell.in_flight:,} in flight{agents}{durability}"
            tell(what, 0)
            samples[cell].append(sample(stack, cell, timing))
            tell(what, 1)
    found.runs += [summary(cell, taken) for cell, taken in samples.items()]
