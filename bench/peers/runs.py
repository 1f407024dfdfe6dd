"""Measures the peers one after another: each is started, measured and ended before the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from bench.cells import Result, measure
from bench.options import Options
from bench.peers.celery.peer import CeleryPeer
from bench.peers.dbos.peer import DbosPeer
from bench.peers.environment import Environment, Unavailable, prepare
from bench.peers.peer import Peer
from bench.peers.restate.peer import RestatePeer
from bench.peers.taskiq.peer import TaskiqPeer
from bench.peers.temporal.peer import TemporalPeer
from bench.recovery import IN_FLIGHT, Recovery, crash
from bench.stack import StackFailed

KINDS = {kind.name: kind for kind in (CeleryPeer, RestatePeer, DbosPeer, TemporalPeer, TaskiqPeer)}
TARGETS = {(engine.name, 200): engine.target for kind in KINDS.values() for engine in kind.engines}
WARM_S = 2.0
STEP_S = 0.1  # how long a step takes where workers are killed
PATIENCE_S = 30.0  # after which a workflow that was in flight counts as lost

Tell = Callable[[str, int], None]


@dataclasses.dataclass
class Compared:
    """What was found of the peers."""

    runs: list[Result] = dataclasses.field(default_factory=list)
    abouts: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    recoveries: list[Recovery] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)


def steps(options: Options) -> int:
    """How many runs there are."""
    engines = sum(len(KINDS[name].engines) for name in options.peers)
    crashes = sum(len(KINDS[name].engines) for name in options.peers if KINDS[name].recovers)
    return engines * len(options.peer_levels) * options.timing.repeats + crashes * ("recovery" in options.parts)


def run(options: Options, found: Compared, tell: Tell) -> None:
    """Measure the peers that were asked for; what cannot be had or fails is left out, and the reason is kept."""
    for name in options.peers:
        kind = KINDS[name]
        try:
            tell(f"{kind.title}: preparing its environment", 0)
            environment = prepare(name)
            tell(f"{kind.title}: starting", 0)
            with kind(environment) as peer:
                found.abouts.append(peer.about())
                _measure(peer, options, found, tell)
            if "recovery" in options.parts and kind.recovers:
                _crashes(kind, environment, found, tell)
        except (Unavailable, StackFailed) as error:
            found.left_out.append(f"{kind.title}: {error}")


def _measure(peer: Peer, options: Options, found: Compared, tell: Tell) -> None:
    timing = dataclasses.replace(options.timing, warm_s=max(options.timing.warm_s, WARM_S))
    for engine in peer.engines:
        for level in options.peer_levels:
            what = f"{engine.name}, {level} in flight"
            tell(what, 0)
            try:
                found.runs.append(measure(peer, peer.cell(engine, level), timing, lambda what=what: tell(what, 1)))  # type: ignore[misc]
            except StackFailed as error:
                found.left_out.append(f"{what}: {error}")


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
