"""What the person asked ``bin/bench`` for."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from bench.cells import Timing

LEVELS = (1, 50, 200, 500, 2_000)
COMPARED = (1, 200, 500)
PEERS = ("celery", "flower", "restate", "dbos", "temporal", "taskiq")
PEER_LEVELS = (50, 200, 500)
PARTS = ("memory", "commands", "ganglion", "fsync", "waiting", "central", "recovery")
CURVES = ("backlog", "in_flight", "history", "journal", "hosts", "agents")
MORE = ("console", "lists")  # only when asked for by name, or with --full


@dataclasses.dataclass(frozen=True)
class Options:
    """The choices of one measurement."""

    quick: bool
    full: bool
    peers: tuple[str, ...]
    hosts: int
    levels: tuple[int, ...]
    timing: Timing
    parts: tuple[str, ...]
    json: Path | None
    html: Path | None

    @property
    def fsync_levels(self) -> tuple[int, ...]:
        """Where durability by fsync is measured."""
        return tuple(level for level in self.levels if level in (50, 200)) if self.quick else self.levels

    @property
    def patient_levels(self) -> tuple[int, ...]:
        """Where the brain that waits for its agents is measured with agents that really wait."""
        return (1, 50) if self.quick else COMPARED

    @property
    def peer_levels(self) -> tuple[int, ...]:
        """Where the other engines are measured."""
        return tuple(level for level in PEER_LEVELS if level in self.levels)

    @property
    def listed_workflows(self) -> int:
        """Workflows in the history whose lists are timed."""
        return 20_000 if self.quick else 1_000_000

    @property
    def waiting_workflows(self) -> int:
        """Coordinators that wait, for the memory of each."""
        return 1_000 if self.quick else 10_000


def read(arguments: list[str]) -> Options:
    """Read the arguments; a wrong one ends the program with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="bin/bench",
        description="Measures Ganglion as bin/up runs it, a central orchestrator, and others, on the same work.",
        epilog=f"parts: {', '.join(PARTS)}; beside them curves ({', '.join(CURVES)}), {', '.join(MORE)}",
    )
    parser.add_argument("--quick", action="store_true", help="one short run of each, in less than three minutes")
    parser.add_argument("--full", action="store_true", help="every part, with the largest sizes of each curve")
    parser.add_argument(
        "--peers", nargs="?", const=",".join(PEERS), default="", metavar="NAME,…",
        help=f"also other engines, in environments of their own: all of {', '.join(PEERS)}, or those named",
    )  # fmt: skip
    parser.add_argument("--hosts", type=int, default=2, help="coordinator hosts (default 2, as bin/up)")
    parser.add_argument("--levels", default="", metavar="N,N,…", help="workflows in flight (default 1,50,200,500,2000)")
    parser.add_argument("--repeats", type=int, default=0, help="runs of each, of which the median counts (default 3)")
    parser.add_argument("--window", type=float, default=0.0, help="seconds that each run is counted (default 6)")
    parser.add_argument("--only", default="", metavar="PART,…", help="measure these parts only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots (default build/bench.html)")
    chosen = parser.parse_args(arguments)
    levels = tuple(int(part) for part in chosen.levels.split(",") if part) or LEVELS
    every = (*PARTS, *CURVES, *MORE)
    named = [part for part in chosen.only.split(",") if part] or (every if chosen.full else PARTS)
    parts = tuple(dict.fromkeys(one for part in named for one in (CURVES if part == "curves" else (part,))))
    unknown = set(parts) - set(every)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are curves, {', '.join(every)}")
    peers = tuple(name for name in chosen.peers.split(",") if name)
    if set(peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(set(peers) - set(PEERS)))}; there are {', '.join(PEERS)}")
    if not all(0 < level <= 5_000 for level in levels):
        parser.error("--levels takes numbers from 1 to 5000")
    warm_s, window_s, repeats = (1.0, 2.5, 1) if chosen.quick else (2.0, 6.0, 3)
    timing = Timing(warm_s, min(chosen.window or window_s, 60.0), min(chosen.repeats or repeats, 20))
    return Options(
        chosen.quick, chosen.full, peers, chosen.hosts, levels, timing, parts, chosen.json, chosen.html
    )  # fmt: skip
