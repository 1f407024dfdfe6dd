"""Measures Ganglion and the peers in turns: each is started, runs once at each level, and ends before the next.

A machine that others share is quicker in one minute than in the next. So there are as many rounds as runs are wanted,
and the medians of all engines are of the same minutes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from bench.cells import EVERYSEC, Cell, Result, Sample, sample, summary
from bench.options import Options
from bench.peers.celery.peer import CeleryPeer
from bench.peers.dbos.peer import DbosPeer
from bench.peers.environment import Environment, Unavailable, prepare
from bench.peers.flower.peer import FlowerPeer
from bench.peers.peer import Peer
from bench.peers.restate.peer import RestatePeer
from bench.peers.taskiq.peer import TaskiqPeer
from bench.peers.temporal.peer import TemporalPeer
from bench.recovery import IN_FLIGHT, Recovery, crash
from bench.stack import Private, Stack, StackFailed

KINDS = {kind.name: kind for kind in (CeleryPeer, FlowerPeer, RestatePeer, DbosPeer, TemporalPeer, TaskiqPeer)}
TARGETS = {(engine.name, 200): engine.target for kind in KINDS.values() for engine in kind.engines}
OURS = "ganglion, in turns with the others"
WARM_S = 2.0
STEP_S = 0.1  # how long a step takes where workers are killed
PATIENCE_S = 30.0  # after which a workflow that was in flight counts as lost

Tell = Callable[[str, int], None]


@dataclasses.dataclass
class Compared:
    """What was found of the peers, and of Ganglion in the same rounds."""

    ours: list[Result] = dataclasses.field(default_factory=list)
    runs: list[Result] = dataclasses.field(default_factory=list)
    abouts: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    recoveries: list[Recovery] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)


def steps(options: Options) -> int:
    """How many runs there are."""
    if not options.peers:
        return 0
    engines = 1 + sum(len(KINDS[name].engines) for name in options.peers)
    crashes = sum(len(KINDS[name].engines) for name in options.peers if KINDS[name].recovers)
    return engines * len(options.peer_levels) * options.timing.repeats + crashes * ("recovery" in options.parts)


def run(options: Options, found: Compared, tell: Tell) -> None:
    """Measure the peers that were asked for; what cannot be had or fails is left out, and the reason is kept."""
    ready = _prepare(options.peers, found, tell)
    if not ready:
        return
    rounds = _Rounds(options, found, tell)
    for _ in range(options.timing.repeats):
        with Stack(options.hosts) as stack:
            rounds.take(stack, [Cell(OURS, level, EVERYSEC) for level in options.peer_levels])
        for name, environment in list(ready.items()):
            try:
                with KINDS[name](environment) as peer:
                    rounds.about(peer)
                    rounds.take(peer, [peer.cell(one, level) for one in peer.engines for level in options.peer_levels])
            except StackFailed as error:
                found.left_out.append(f"{KINDS[name].title}: {error}")
                del ready[name]
    rounds.end()
    if "recovery" in options.parts:
        for name, environment in ready.items():
            if KINDS[name].recovers:
                _crashes(KINDS[name], environment, found, tell)


def _prepare(names: tuple[str, ...], found: Compared, tell: Tell) -> dict[str, Environment]:
    """The environments of the peers that can be had."""
    ready = {}
    for name in names:
        tell(f"{KINDS[name].title}: preparing its environment", 0)
        try:
            ready[name] = prepare(name)
        except Unavailable as error:
            found.left_out.append(f"{KINDS[name].title}: {error}")
    return ready


class _Rounds:
    """The runs of all engines, taken in turns."""

    def __init__(self, options: Options, found: Compared, tell: Tell) -> None:
        self._timing = dataclasses.replace(options.timing, warm_s=max(options.timing.warm_s, WARM_S))
        self._found = found
        self._tell = tell
        self._samples: dict[Cell, list[Sample]] = {}
        self._failed: set[Cell] = set()
        self._described: set[str] = set()

    def about(self, peer: Peer) -> None:
        """Note once how a peer is set up."""
        if peer.name not in self._described:
            self._described.add(peer.name)
            self._found.abouts.append(peer.about())

    def take(self, stack: Private, cells: list[Cell]) -> None:
        """One run of each cell that has not failed before."""
        for cell in cells:
            what = f"{cell.engine}, {cell.in_flight} in flight"
            self._tell(what, 0)
            if cell not in self._failed:
                try:
                    self._samples.setdefault(cell, []).append(sample(stack, cell, self._timing))
                except StackFailed as error:
                    self._found.left_out.append(f"{what}: {error}")
                    self._failed.add(cell)
            self._tell(what, 1)

    def end(self) -> None:
        """Keep the medians of what was run in every round."""
        for cell, samples in self._samples.items():
            if cell not in self._failed:
                (self._found.ours if cell.engine == OURS else self._found.runs).append(summary(cell, samples))


def _crashes(kind: type[Peer], environment: Environment, found: Compared, tell: Tell) -> None:
    """Kill all workers of a peer with steps under way, and start them again at once."""
    for engine in kind.engines:
        what = f"killing the workers of {engine.name}"
        tell(what, 0)
        with kind(environment, STEP_S) as peer:

            def kill(peer: Peer = peer) -> None:
                peer.kill_workers()
                peer.start_workers()

            killed = f"the worker processes of {kind.title}"
            try:
                found.recoveries.append(crash(peer, peer.cell(engine, IN_FLIGHT), killed, kill, PATIENCE_S))
            except StackFailed as error:
                found.left_out.append(f"{what}: {error}")
        tell(what, 1)
