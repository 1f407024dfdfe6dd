"""A fault has fired when it left a trace of what it does, not when it was begun."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.evidence import Evidence
from tests.chaos.report import Report
from tests.chaos.scene import Fault

Trace = tuple[Callable[[Fault, Evidence], bool], str]


def _figures(*names: str) -> Callable[[Fault, Evidence], bool]:
    return lambda fault, _: all(fault.figures.get(name, 0) > 0 for name in names)


def _ran(how: str) -> Callable[[Fault, Evidence], bool]:
    return lambda fault, evidence: f"{fault.target}@{how}" in evidence.ran


_ENDED: Trace = (_figures("ended"), "no process ended")
_STOOD: Trace = (_figures("stood"), "no process stood still")
_TRACES: dict[str, Trace] = {
    **{f"{name}_kill": _ENDED for name in ("host", "agent", "relay", "server", "web", "jobs")},
    **{f"{name}_stop": _STOOD for name in ("host", "agent", "relay", "server", "web", "jobs")},
    "host_zombie": (_figures("stood", "stale_tried", "stale_refused"), "no stale write was tried and refused"),
    "host_term": (_figures("ended", "held"), "no host ended that held a workflow"),
    "connections_cut": (_figures("ended", "accepted"), "no connection was ended and made anew"),
    "network_slow": (_figures("held_up"), "nothing was held up"),
    "network_silent": (_figures("held_up"), "nothing was held up"),
    "network_away": (_figures("ended", "turned_away"), "nobody was turned away"),
    "half_open": (_figures("connections", "accepted"), "no connection was made in place of a half-open one"),
    "replies_dropped": (_figures("swallowed"), "no reply was lost"),
    "loop_blocked": (_ran("block"), "no run() blocked its host"),
    "run_exits": (_ran("exit"), "no run() ended its host"),
    "run_eats_memory": (_ran("memory"), "no run() ate its host's memory"),
    "poison": (_figures("queued", "asked"), "no junk was queued, or nobody was asked"),
    "huge": (_figures("submit_refused_s"), "nothing too large was refused"),
    "duplicates": (_figures("queued_again", "late"), "no task was queued twice, or no late result was counted out"),
}


def check_traces(report: Report, fired: list[Fault], evidence: Evidence) -> None:
    """Each kind of fault must have had its effect at least once."""
    for name in report.faults:
        left, otherwise = _TRACES[name]
        had = any(left(fault, evidence) for fault in fired if fault.name == name)
        report.expect(had, f"{name} had no effect: {otherwise}")
