"""The tables that a terminal shows. Every figure in them was measured in this very run."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from bench.cells import EVERYSEC, Result
from bench.curves import page as curves
from bench.measurement import CENTRAL, EVENT_DRIVEN, FSYNC, Found
from bench.options import COMPARED
from bench.peers import comparison


def show(console: Console, about: dict[str, Any], found: Found) -> None:
    """Print everything."""
    _about(console, about)
    if found.runs:
        console.print(_runs(found))
    if found.costs:
        console.print(_costs(found))
    if found.memory:
        title = f"Memory of {found.memory.workflows:,} workflows that wait"
        curves.show_table(console, title, curves.MEMORY_HEADS, curves.memory_rows(found.memory))
    rows = article(found)
    if rows:
        console.print(_article(rows))
    if found.compared.abouts:
        _peers(console, found)
    for what, ratio in found.own_ratios().items():
        console.print(f"  × {what}: {ratio:g}")
    for curve in found.curves:
        curves.show(console, curve)
    if found.console:
        curves.show_table(console, "The console under load", ["", "", ""], curves.console_rows(found.console))
    if found.lists:
        title = f"Pages of lists over {found.lists[0].rows:,} workflows"
        curves.show_table(console, title, curves.LIST_HEADS, curves.list_rows(found.lists))
    for left_out in found.left_out:
        console.print(f"Left out: {left_out}", style="yellow")


def _about(console: Console, about: dict[str, Any]) -> None:
    machine, versions, settings = about["machine"], about["versions"], about["settings"]
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']};"
        f" fdatasync {machine['fdatasync_ms']} ms; load at start {machine['load_at_start']}"
    )
    console.print(", ".join(f"{name} {value}" for name, value in versions.items()))
    console.print("; ".join(f"{name}: {value}" for name, value in settings.items()) + "\n")
    for warning in about["warnings"]:
        console.print(warning, style="bold yellow")


def _runs(found: Found) -> Table:
    table = Table(title="Closed loop, four steps, 300-byte payloads (medians)")
    table.add_column("")
    for name in ("in flight", "wf/s", "p50 ms", "p95 ms", "p99 ms", "CPU-ms", "failed"):
        table.add_column(name, justify="right")
    for run in found.runs:
        table.add_row(
            label(run), f"{run.in_flight:,}", f"{run.wf_per_s:,.0f}", f"{run.p50_ms:,.1f}", f"{run.p95_ms:,.1f}",
            f"{run.p99_ms:,.1f}", f"{run.cpu_ms_per_wf:.2f}", str(run.failed),
        )  # fmt: skip
    return table


def label(run: Result) -> str:
    """A run's engine, and how it differs from the usual: no-op agents, and its usual durability."""
    more = [f"agents {run.agents}"] if run.agents != "no-op" else []
    more += ["fsync"] if run.durability == FSYNC else []
    return ", ".join([run.engine, *more])


def _peers(console: Console, found: Found) -> None:
    table = Table(title="Ganglion against the others, in this run")
    table.add_column("")
    for name in comparison.HEADS:
        table.add_column(name, justify="right")
    for row in comparison.rows(found.peer_ratios()):
        table.add_row(*row)
    if table.rows:
        console.print(table)
    for crash in found.compared.recoveries:
        first, last = _seconds(crash.first_s), _seconds(crash.all_s)
        console.print(
            f"Killed {crash.killed} ({crash.engine}) with {crash.in_flight} workflows in flight: the first ends after"
            f" {first} s, the last after {last} s, {crash.lost} do not end in time"
        )
    for name, packages, settings, durability in comparison.setups(found.compared.abouts):
        console.print(f"{name}: {packages}; {settings}; durability: {durability}")


def _costs(found: Found) -> Table:
    table = Table(title="Commands of one workflow, at 200 in flight")
    table.add_column("sent to the server")
    table.add_column("each", justify="right")
    table.add_column("run inside scripts")
    table.add_column("each", justify="right")
    outside = [cost for cost in found.costs if not cost.inside]
    inside = [cost for cost in found.costs if cost.inside]
    for number in range(max(len(outside), len(inside))):
        row = []
        for side in (outside, inside):
            cost = side[number] if number < len(side) else None
            row += [cost.name, f"{cost.calls:.2f}"] if cost else ["", ""]
        table.add_row(*row)
    total = sum(cost.calls for cost in outside), sum(cost.calls for cost in inside)
    table.add_section()
    table.add_row("all", f"{total[0]:.1f}", "all", f"{total[1]:.1f}")
    return table


ARTICLE = ("article: distributed", "Ganglion", "article: central", "central", "event-driven")


def _article(rows: list[list[str]]) -> Table:
    table = Table(title="The article's table, measured")
    table.add_column("")
    for name in ARTICLE:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def article(found: Found) -> list[list[str]]:
    """The article's table beside what was measured here; the strongest central brain is a column of its own."""
    rows: list[list[str]] = []

    def add(what: str, theirs: str, brain: str, level: int, agents: str, value: str, scale: float = 1.0) -> None:
        cells = (
            found.find("ganglion", level, agents, EVERYSEC),
            found.find(CENTRAL, level, agents),
            found.find(EVENT_DRIVEN, level, agents),
        )
        if any(cells):
            ours, first, second = (f"{getattr(cell, value) * scale:,.0f}" if cell else "–" for cell in cells)
            rows.append([what, theirs, ours, brain, first, second])

    add("p50 at 200, agents 50 ms (ms)", "340", "1,200", 200, "50 ms", "p50_ms")
    add("p99 at 200, agents 50 ms (ms)", "1,100", "8,700", 200, "50 ms", "p99_ms")
    add("a minute at 200, agents 50 ms", "2,400", "200", 200, "50 ms", "wf_per_s", 60)
    add("a minute at 200, no-op agents", "2,400", "200", 200, "no-op", "wf_per_s", 60)
    add("a minute at 500, agents 50 ms", "", "", 500, "50 ms", "wf_per_s", 60)
    for level, said in ((1, "200"), (50, ""), (200, "4,200"), (500, "12,000")):
        add(f"response at {level}, agents 50 ms (ms)", "", said, level, "50 ms", "p50_ms")
    for level in COMPARED:
        add(f"response at {level}, no-op agents (ms)", "", "", level, "no-op", "p50_ms")
    crashes = {crash.engine: crash for crash in found.recoveries}
    ours, theirs = crashes.get("ganglion"), crashes.get("central")
    if ours and theirs:
        rows.append(["all that go on do so after (s)", "2", _seconds(ours.all_s), "300", "", _seconds(theirs.all_s)])
        lost = [f"{crash.lost} of {crash.affected}" for crash in (ours, theirs)]
        rows.append(["lost by the crash", "", lost[0], "", "", lost[1]])
    if found.memory:
        rows.append(["a coordinator's memory (KB)", "48,000", f"{found.memory.host_bytes / 1000:.1f}", "", "", ""])
    return rows


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f}"
