"""What a fault run measures, what it aims at, and the page that shows it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from coordination import journal as j
from tests.chaos import page, targets
from tests.chaos.history import Kept
from tests.chaos.measure import Measures
from tests.chaos.report import Gauge, Report, Spread
from tests.chaos.scene import Fault

pytestmark = pytest.mark.once

_KILLED_MS = 1_000_000


def _kept(*entries: tuple[int, Any], name: str = "w") -> Kept:
    numbered = [j.Numbered(seq, _KILLED_MS + at_ms, entry) for seq, (at_ms, entry) in enumerate(entries, 1)]
    return Kept(name, "chaos", "completed", len(numbered), 2, 0, 900, "7", numbered)


def _measured(fault: Fault, *workflows: Kept, held: frozenset[str] = frozenset()) -> Report:
    scene: Any = SimpleNamespace(fired=[fault], seed=1, held={0: held} if held else {})
    measures, report = Measures(scene), Report(1, "--seed 1")
    for kept in workflows:
        measures.add(kept)
    measures.fill(report)
    report.fired, report.faults = [fault], {fault.name: 1}
    return report


def _killed(taken_ms: int, stepped_ms: int) -> Report:
    return _measured(
        Fault("host_kill", "host-0", _KILLED_MS, _KILLED_MS, "host-0-a"),
        _kept(
            (-500, j.Attempt("1", 0, 1, 0, "chaos_work", b"")),
            (-100, j.Settled("1", 0, 1, "agent-0", 0, b"7")),
            (taken_ms, j.TakenUp(2, "host-1-b", "host-0-a", "takeover")),
            (stepped_ms, j.Attempt("2", 0, 1, 0, "chaos_work", b"")),
            (stepped_ms + 50, j.Settled("2", 0, 1, "agent-0", 0, b"7")),
            (stepped_ms + 60, j.Finished("completed")),
        ),
    )


def test_a_takeover_is_measured_from_the_kill() -> None:
    report = _killed(1000, 1200)
    assert (report.takeovers, report.takeover_p99_s, report.takeover_max_s) == (1, 1.0, 1.0)
    assert report.next_step == Spread(1, 1.2, 1.2, 1.2)
    assert [(taken.host, taken.cause, taken.workflows) for taken in report.each_takeover] == [
        ("host-0-a", "host_kill", 1)
    ]
    assert not targets.missed(report)


def test_slow_takeovers_miss_their_targets() -> None:
    missed = targets.missed(_killed(2500, 5500))
    assert missed == [
        "target missed: takeover p99 is 2.5 s, not below 2 s",
        "target missed: SIGKILL to next step p99 is 5.5 s, not below 2 s",
        "target missed: SIGKILL to next step max is 5.5 s, not below 5 s",
    ]


def test_a_slow_hand_over_misses_its_target() -> None:
    told = Fault("host_term", "host-0", _KILLED_MS, _KILLED_MS, "host-0-a")
    handed = _kept((700, j.TakenUp(2, "host-1-b", "host-0-a", "handover")), (800, j.Finished("completed")))
    report = _measured(told, handed, held=frozenset({"w"}))
    assert report.hand_over == Spread(1, 0.7, 0.7, 0.7)
    assert targets.missed(report) == ["target missed: hand-over after SIGTERM max is 0.7 s, not below 0.5 s"]


def test_slow_neighbours_and_zombies_miss_their_targets() -> None:
    report = Report(1, "", neighbours_p99_before_s=1.0, neighbours_p99_during_s=1.3, zombie_abandoned_max_s=1.5)
    assert targets.missed(report) == [
        "target missed: a woken host's new life is 1.5 s, not below 1 s",
        "target missed: neighbours' p99 is 1.3 s, not below 1.2 s",
    ]
    assert not targets.missed(Report(1, ""))  # nothing was measured


def test_the_page_shows_a_run() -> None:
    report = _killed(1000, 1200)
    report.accepted = report.completed = 1
    report.gauges = [Gauge("memory MiB", [1.0, 2.0, 3.0], 2.0, 3.0, flat=True)]
    shown = page.render(report)
    assert "Every invariant held: 1 workflows, 1 faults" in shown
    assert "1 workflows of host-0-a, 1.00 to 1.00 s after host_kill" in shown
    assert "memory MiB" in shown and "<!-- " not in shown and "bin/chaos --seed 1" in shown
    report.broken = ["<script>alert(1)</script>"]
    assert "1 invariants broke" in page.render(report)
    assert "<script>" not in page.render(report)


def test_the_page_shows_a_run_in_which_nothing_happened() -> None:
    assert "<svg" in page.render(Report(1, ""))
