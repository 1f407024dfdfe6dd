"""No handler starts for a task that is settled or that a live instance holds, and no effect happens twice."""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict

from tests.chaos.evidence import Closed, Evidence, Noted
from tests.chaos.report import Report
from tests.chaos.scene import Scene, cut_off

_CLOCK_MS = 50  # between the server's clock and an agent's
_EXCHANGE_MS = 2_000  # from claiming a task to starting it, in which the run's own twin of an agent may settle it
_DEAD_MS = 10_000  # how long after an agent's end its tasks may still be started again
_FEW = 3  # cases that are named


class Excuses:
    """When an agent was killed, frozen or cut off, so that its tasks were rightly given to another.

    Args:
        scene: With what has happened.
    """

    def __init__(self, scene: Scene) -> None:
        self._cut_off = cut_off(scene)
        self._ends: dict[int, list[float]] = defaultdict(list)
        for member in scene.crew.agents:
            for pid, at in member.ends:
                bisect.insort(self._ends[pid], at * 1000)

    def hold(self, began_ms: int, again_ms: int, *pids: int) -> bool:
        """Whether something had been done to one of the agents between two moments."""
        if any(begin <= again_ms and began_ms <= end for begin, end in self._cut_off):
            return True
        return any(began_ms - _DEAD_MS <= end <= again_ms for pid in pids for end in self._ends[pid])


def check_effects(report: Report, scene: Scene, evidence: Evidence) -> None:
    """Count starts and effects, and find those that no fault and no time limit explains."""
    excuses = Excuses(scene)
    report.starts = evidence.count("SELECT count(*) FROM started")
    report.effects = evidence.count("SELECT count(*) FROM effect")
    doubled = [*_beside(report, evidence, excuses), *_twice(evidence, excuses), *_late(evidence, excuses)]
    report.doubled_effects = len(doubled)
    report.expect(not doubled, f"{len(doubled)} doubled effects: {doubled[:_FEW]}")
    empty = evidence.count(
        "SELECT count(*) FROM settled s WHERE s.agent NOT IN ('', 'twin')"
        " AND NOT EXISTS (SELECT 1 FROM effect e WHERE e.key = s.key)"
    )
    report.expect(not empty, f"{empty} steps were settled by agents whose effects are not in the ledger")


def _beside(report: Report, evidence: Evidence, excuses: Excuses) -> list[str]:
    """Starts while an earlier one of the same key, of whichever attempt, was not known to be over."""
    found = []
    for key, starts, closed in evidence.several("started"):
        for first, again in itertools.pairwise(starts):
            over = _over(closed, first, again)
            if over == "failed":
                continue
            if over == "timed out" or excuses.hold(first.at_ms, again.at_ms, first.pid, again.pid):
                report.repeat_runs += 1
            else:
                where = f"started by pid {again.pid} after {again.at_ms - first.at_ms} ms while pid {first.pid} lived"
                found.append(f"{key} attempt {again.attempt}: {where} in attempt {first.attempt}")
    return found


def _over(closed: list[Closed], first: Noted, again: Noted) -> str:
    """How the journal says that the first start's attempt ended before another began; "" when it does not."""
    if first.attempt >= again.attempt:
        return ""
    ends = (end for end in closed if end.attempt == first.attempt and end.at_ms <= again.at_ms + _CLOCK_MS)
    return next((end.how for end in ends), "")


def _twice(evidence: Evidence, excuses: Excuses) -> list[str]:
    """Effects of one key that happened again although nothing was done to the agent and no time limit had passed."""
    found = []
    for key, effects, closed in evidence.several("effect"):
        for first, again in itertools.pairwise(effects):
            timed_out = _over(closed, first, again) == "timed out"
            if not timed_out and not excuses.hold(first.at_ms, again.at_ms, first.pid, again.pid):
                found.append(f"{key}: its effect happened again after {again.at_ms - first.at_ms} ms")
    return found


def _late(evidence: Evidence, excuses: Excuses) -> list[str]:
    """Starts for a task that was settled.

    The run's own twin settles without a claim, so an agent may hold one just then. When it claimed is not known, so
    whatever starts soon after the twin is excused; what only agents settle is not.
    """
    rows = evidence.ask(
        "SELECT s.key, s.pid, s.at_ms, t.at_ms FROM started s JOIN settled t ON t.key = s.key"
        " WHERE s.at_ms > t.at_ms + CASE t.agent WHEN 'twin' THEN ? ELSE ? END",
        _EXCHANGE_MS,
        _CLOCK_MS,
    )
    return [
        f"{key}: started by pid {pid} {at_ms - settled_ms} ms after it was settled"
        for key, pid, at_ms, settled_ms in rows
        if not excuses.hold(at_ms, at_ms, pid)
    ]
