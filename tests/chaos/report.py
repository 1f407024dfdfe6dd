"""What a run found, and how it is told in a terminal."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from tests.chaos.scene import Fault

_WAYS = ("p50", "p99", "max")


class Spread(msgspec.Struct, frozen=True):
    """How long something took, over all its cases."""

    count: int = 0
    p50_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """From seconds."""
        if not values:
            return cls()
        values.sort()
        at = [values[int(len(values) * share)] for share in (0.5, 0.99)]
        return cls(len(values), round(at[0], 3), round(at[1], 3), round(values[-1], 3))


class Gauge(msgspec.Struct):
    """Something that must not grow in the long run, sampled."""

    name: str
    values: list[float]
    middle: float = 0.0  # mean over the middle third
    last: float = 0.0  # mean over the last third
    flat: bool | None = None  # None: the run was too short to tell


class Takeover(msgspec.Struct):
    """One killed or frozen host and what became of its workflows."""

    host: str
    cause: str  # the fault's name
    at_ms: int
    workflows: int
    first_s: float
    last_s: float


class Report(msgspec.Struct):
    """What a run found; ``broken`` is empty when every invariant held."""

    seed: int
    command: str
    minutes: float = 0.0
    accepted: int = 0
    completed: int = 0
    lost: int = 0
    wrong: int = 0
    signals: int = 0
    decisions: int = 0
    acknowledgements_lost: int = 0
    effects: int = 0
    doubled_effects: int = 0
    repeat_runs: int = 0
    starts: int = 0
    fenced_writes: int = 0
    stale_epoch_writes: int = 0
    stale_epoch_refused: int = 0
    stale_epoch_tried: int = 0
    escalations_opened: int = 0
    escalations_resolved: int = 0
    escalations_withdrawn: int = 0
    asked_about_innocents: int = 0
    repeated_submits: int = 0
    journals_compared: int = 0
    journals_compared_whole: int = 0
    quarantined: int = 0
    scheduled_runs: int = 0
    faults: dict[str, int] = {}
    wrong_takeovers: int = 0
    takeovers: int = 0
    takeover_p50_s: float = 0.0
    takeover_p99_s: float = 0.0
    takeover_max_s: float = 0.0
    next_step: Spread = Spread()
    next_step_p99_s: float = 0.0
    next_entry: Spread = Spread()
    host_back: Spread = Spread()
    hand_over: Spread = Spread()
    zombie_abandoned_max_s: float = 0.0
    workflows_per_s: float = 0.0
    neighbours_p99_before_s: float = 0.0
    neighbours_p99_during_s: float = 0.0
    checked_s: float = 0.0
    broken: list[str] = []
    missed: list[str] = []  # targets
    # for the page
    began_ms: int = 0
    ended_ms: int = 0
    fired: list[Fault] = []
    recovery: dict[str, Spread] = {}  # fault -> from its beginning until the usual throughput was back
    each_takeover: list[Takeover] = []
    throughput: list[int] = []  # workflows ended, for each second
    gauges: list[Gauge] = []

    def expect(self, held: bool, message: str) -> None:
        """Note what did not hold."""
        if not held:
            self.broken.append(message)


_NOT_LISTED = {
    "broken", "missed", "fired", "each_takeover", "throughput", "gauges", "recovery", "began_ms", "ended_ms",
    "next_step_p99_s",
}  # fmt: skip


def show(report: Report, console: Console) -> None:
    """The report in words and figures."""
    table = Table(show_header=False, box=None)
    for name, value in msgspec.to_builtins(report).items():
        if name not in _NOT_LISTED:
            table.add_row(name.replace("_", " "), _words(value))
    for name, spread in report.recovery.items():
        table.add_row(f"recovery after {name}", _words(msgspec.to_builtins(spread)))
    for gauge in report.gauges:
        verdict = {True: "flat", False: "it grows", None: "too short to tell"}[gauge.flat]
        table.add_row(f"soak: {gauge.name}", f"{gauge.middle:,.0f} → {gauge.last:,.0f}, {verdict}")
    console.print(table)
    for line in report.broken[:20]:
        console.print("broken", line, style="red", markup=False, highlight=False, soft_wrap=True)
    if len(report.broken) > 20:
        console.print(f"… and {len(report.broken) - 20} more", style="red")
    for line in report.missed:
        console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
    verdict = "[red]Invariants broke.[/red]" if report.broken else "[green]Every invariant held.[/green]"
    console.print(f"{verdict} Replay with bin/chaos {report.command}", highlight=False, soft_wrap=True)


def _words(value: Any) -> str:
    if isinstance(value, dict) and "p99_s" in value:
        times = ", ".join(f"{way} {value[f'{way}_s']:g} s" for way in _WAYS)
        return f"{times} ({value['count']:,})" if value["count"] else "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
