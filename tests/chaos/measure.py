"""Times, from journals as they pass by: takeovers, next steps, hand-overs, throughput, recovery, neighbours."""

from __future__ import annotations

import array
import random
from collections import Counter

from coordination import journal as j
from tests.chaos.history import Kept
from tests.chaos.report import Report, Spread, Takeover
from tests.chaos.scene import Fault, Scene

_OWN = (
    j.Attempt, j.TimerSet, j.TimerFired, j.SignalAwaited, j.Recorded, j.ChildStarted, j.Escalated, j.Progressed,
    j.Finished,
)  # fmt: skip
_HIT = ("host_kill", "host_stop", "host_zombie")  # faults after which peers take over
_SLOT_MS = 250
_NEIGHBOURS = ("poison", "huge")


class Measures:
    """Takes one workflow after the other, keeps numbers only.

    Args:
        scene: With what has happened.
    """

    def __init__(self, scene: Scene) -> None:
        self._fired = scene.fired
        self._seed = scene.seed
        self._hit = {fault.host: fault for fault in scene.fired if fault.name in _HIT and fault.host}
        self._told = [(scene.fired[place], held) for place, held in scene.held.items()]
        self._during = [(f.at_ms, f.until_ms) for f in scene.fired if f.name in _NEIGHBOURS]
        self._first_ms = scene.fired[0].at_ms if scene.fired else 0  # what began before waited for the first host
        self._took: dict[str, list[float]] = {}
        self._next_step: list[float] = []
        self._next_entry: list[float] = []
        self._hand_over: list[float] = []
        self._ended = Counter[int]()
        self._neighbours = (array.array("d"), array.array("d"))  # outside and during

    def add(self, kept: Kept) -> None:
        """Measure one workflow."""
        entries = kept.journal
        for index, item in enumerate(entries):
            entry = item.entry
            if isinstance(entry, j.TakenUp) and entry.previous in self._hit:
                self._taken_up(entries, index, self._hit[entry.previous])
        for fault, held in self._told:
            if kept.id in held:
                later = (i for i in entries if isinstance(i.entry, j.TakenUp) and i.at_ms >= fault.at_ms)
                if (first := next(later, None)) is not None:
                    self._hand_over.append((first.at_ms - fault.at_ms) / 1000)
        if entries and isinstance(entries[-1].entry, j.Finished):
            at_ms = entries[-1].at_ms
            self._ended[at_ms // _SLOT_MS] += 1
            begun_ms = at_ms - kept.duration_ms
            if self._during and self._is_plain(kept.id) and begun_ms > self._first_ms:
                inside = any(begin <= at_ms and begun_ms <= end for begin, end in self._during)
                self._neighbours[inside].append(kept.duration_ms / 1000)

    def _is_plain(self, identity: str) -> bool:
        """Whether a workflow is one of the four-step ones, which compare with each other."""
        prefix, _, number = identity.rpartition("-")
        return prefix == f"c{self._seed}" and random.Random(f"{self._seed}/{number}").random() < 0.6

    def _taken_up(self, entries: list[j.Numbered], index: int, fault: Fault) -> None:
        """From a host's end to a workflow's new owner, and to the next step of one that had a step to do."""
        taken = entries[index]
        entry = taken.entry
        assert isinstance(entry, j.TakenUp)
        self._took.setdefault(entry.previous, []).append((taken.at_ms - fault.at_ms) / 1000)
        if fault.name != "host_kill" or index + 1 == len(entries):
            return
        before = entries[:index]
        if (since_ms := _due_since(before)) is not None:
            later = (item for item in entries[index + 1 :] if isinstance(item.entry, _OWN))
            if (step := next(later, None)) is not None:
                self._next_step.append((step.at_ms - max(fault.at_ms, since_ms)) / 1000)
        if _has_task(before):
            self._next_entry.append((entries[index + 1].at_ms - fault.at_ms) / 1000)

    def fill(self, report: Report) -> None:
        """Put everything into the report."""
        took = [value for values in self._took.values() for value in values]
        spread = Spread.of(took)
        report.takeovers = spread.count
        report.takeover_p50_s, report.takeover_p99_s, report.takeover_max_s = spread.p50_s, spread.p99_s, spread.max_s
        report.next_step = Spread.of(self._next_step)
        report.next_step_p99_s = report.next_step.p99_s
        report.next_entry = Spread.of(self._next_entry)
        report.hand_over = Spread.of(self._hand_over)
        report.each_takeover = [
            Takeover(host, self._hit[host].name, self._hit[host].at_ms, len(values), min(values), max(values))
            for host, values in self._took.items()
        ]
        report.zombie_abandoned_max_s = max((f.figures.get("abandoned_s", 0.0) for f in self._fired), default=0.0)
        outside, during = (Spread.of(list(values)) for values in self._neighbours)
        report.neighbours_p99_before_s, report.neighbours_p99_during_s = outside.p99_s, during.p99_s
        self._throughput(report)

    def _throughput(self, report: Report) -> None:
        if not self._ended:
            return
        first, last = min(self._ended), max(self._ended)
        slots = [self._ended[slot] for slot in range(first, last + 1)]
        report.began_ms, report.ended_ms = first * _SLOT_MS, (last + 1) * _SLOT_MS
        per_s = 1000 // _SLOT_MS
        report.throughput = [sum(slots[at : at + per_s]) for at in range(0, len(slots), per_s)]
        report.workflows_per_s = round(sum(slots) / len(slots) * per_s, 1)
        usual = sorted(report.throughput)[len(report.throughput) // 2]
        took: dict[str, list[float]] = {}
        begins = [fault.at_ms // _SLOT_MS - first for fault in self._fired] + [len(slots) - per_s]
        for fault, begin, end in zip(self._fired, begins, begins[1:], strict=False):
            took.setdefault(fault.name, []).append(_dip_s(slots[max(0, begin) : end + per_s], per_s, usual))
        report.recovery = {name: Spread.of(values) for name, values in took.items()}


def _dip_s(slots: list[int], per_s: int, usual: int) -> float:
    """From a fault's beginning to the last second with less than half of the usual ends before the next fault."""
    low = [at for at in range(len(slots) - per_s) if sum(slots[at : at + per_s]) * 2 < usual]
    return (low[-1] + 1) / per_s if low else 0.0


def _due_since(before: list[j.Numbered]) -> int | None:
    """Since when a workflow had a step to do by itself; None when it waited for something.

    It had one when the last entry came from outside, and nothing that it had asked for was still to come.
    """
    if not before or isinstance(before[-1].entry, (*_OWN, j.TakenUp)):
        return None
    waits: set[str] = set()
    names: dict[str, list[str]] = {}
    for item in before:
        match item.entry:
            case j.Attempt(step) | j.TimerSet(step) | j.ChildStarted(step) | j.Escalated(step):
                waits.add(step)
            case j.SignalAwaited(step, name):
                waits.add(step)
                names.setdefault(name, []).append(step)
            case j.Signalled(name):
                waits.difference_update(names.pop(name, []))
            case (
                j.Settled(step) | j.Erred(step) | j.TimedOut(step) | j.TimerFired(step) | j.ChildEnded(step)
                | j.Decided(step)
            ):  # fmt: skip
                waits.discard(step)
    return None if waits else before[-1].at_ms


def _has_task(before: list[j.Numbered]) -> bool:
    """Whether a workflow had a task with the agents when its host died."""
    tasks: set[str] = set()
    for item in before:
        match item.entry:
            case j.Attempt(step):
                tasks.add(step)
            case j.Settled(step) | j.Erred(step) | j.Escalated(step):
                tasks.discard(step)
    return bool(tasks)
