"""The times that the design aims at, on a machine that does nothing else."""

from __future__ import annotations

from tests.chaos.report import Report

_NEIGHBOURS = 1.2  # p99 of four-step workflows beside poison and huge payloads, over what it is without


def missed(report: Report) -> list[str]:
    """What was measured and took longer than it may; what was not measured is not judged."""
    measured = report.takeovers, report.hand_over.count
    takeover = report.takeover_p99_s, report.takeover_max_s
    before, during = report.neighbours_p99_before_s, report.neighbours_p99_during_s
    targets = (
        (bool(measured[0]), "takeover p99", takeover[0], 2.0),
        (bool(measured[0]), "takeover max", takeover[1], 5.0),
        (bool(report.next_step.count), "SIGKILL to next step p99", report.next_step.p99_s, 2.0),
        (bool(report.next_step.count), "SIGKILL to next step max", report.next_step.max_s, 5.0),
        (bool(measured[1]), "hand-over after SIGTERM max", report.hand_over.max_s, 0.5),
        (bool(report.zombie_abandoned_max_s), "a woken host's new life", report.zombie_abandoned_max_s, 1.0),
        (bool(before and during), "neighbours' p99", during, round(before * _NEIGHBOURS, 3)),
    )
    return [
        f"target missed: {name} is {found:g} s, not below {most:g} s"
        for was_measured, name, found, most in targets
        if was_measured and found >= most
    ]
