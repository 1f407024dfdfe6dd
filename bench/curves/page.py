"""Curves and what stands beside them, as tables and plots of the HTML page and of the terminal."""

from __future__ import annotations

from html import escape

from rich.console import Console
from rich.table import Table

from bench.console import Shown
from bench.curves.curve import Curve
from bench.lists import Listed
from bench.memory import SETTING, Memory
from bench.plot import plot


def heads(curve: Curve) -> list[str]:
    """The heads of a curve's table."""
    return [curve.axis, *(figure.words for figure in curve.figures)]


def rows(curve: Curve) -> list[list[str]]:
    """A row for each size; what was not measured is a dash."""
    return [
        [f"{point.size:,}", *(say(point.values.get(figure.name)) for figure in curve.figures)] for point in curve.points
    ]


def say(value: float | None) -> str:
    """A figure with as many digits as it is worth."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 10 else f"{value:.2f}"


def memory_rows(memory: Memory) -> list[list[str]]:
    """What workflows take, and what the size of blocks changes."""
    found = [
        [limit.words, f"{limit.bytes:,} bytes", f"{limit.most:,}", outcome(limit.holds)] for limit in memory.verdicts
    ]
    found += [
        [f"with {SETTING} {one.bytes:,}: workflows/s, and CPU-ms of the server for each",
         f"{one.wf_per_s:,.0f}, {one.server_cpu_ms:.2f}", "", ""]
        for one in memory.blocks
    ]  # fmt: skip
    return found


def console_rows(shown: Shown) -> list[list[str]]:
    """The console under load."""
    given = f"workflows/s of {shown.offered_per_s:,} given"
    found = [
        ["workflows/s without pages", say(shown.wf_per_s_without), ""],
        [f"workflows/s with {shown.pages} pages open", say(shown.wf_per_s_with), ""],
        ["workflows/s while each asks for a page every 5 s, too", say(shown.wf_per_s_asking), ""],
        ["throughput lost while they ask, too", f"{shown.loss_asking:.1%}", ""],
        [f"{given}, with {shown.pages} pages", say(shown.wf_per_s_paced), ""],
        [f"{given}, with real browsers among them", say(shown.wf_per_s_with_browsers), ""],
        ["a page's live part at the server, p50 ms", say(shown.server_p50_ms), ""],
        ["a page's live part as its reader sees it, p50 ms", say(shown.page_p50_ms), ""],
        ["the same, p95 ms", say(shown.page_p95_ms), ""],
        ["the same, p95 ms with the core at its limit", say(shown.page_p95_full_ms), ""],
        ["from an event to the page, p50 ms", say(shown.dom_p50_ms), ""],
        ["the console's CPU-ms for each workflow", say(shown.web_cpu_ms), ""],
    ]
    return found + [[words, "", outcome(holds)] for words, holds in shown.verdicts]


def list_rows(listed: list[Listed]) -> list[list[str]]:
    """Each page of lists on each database."""
    return [[one.database, one.page, say(one.p50_ms), say(one.p95_ms), outcome(one.holds)] for one in listed]


MEMORY_HEADS = ["", "measured", "at most", ""]
LIST_HEADS = ["database", "page", "p50 ms", "p95 ms", "at most 100 ms"]


def outcome(holds: bool) -> str:
    """Whether a target holds, in words."""
    return "holds" if holds else "does not hold"


def render(curve: Curve) -> str:
    """A section of the page, without its table."""
    drawn = "".join(
        plot(figure.words, curve.axis, {figure.words: [(p.size, p.values[figure.name]) for p in curve.points]})
        for figure in curve.figures[:2]
        if all(figure.name in point.values for point in curve.points)
    )
    said = "".join(
        f'<p class="{"note" if verdict.holds else "warning"}">{escape(verdict.words)}</p>' for verdict in curve.verdicts
    )
    return f"<h2>{escape(curve.title)}</h2><p class=note>{escape(curve.note)}</p>{said}{drawn}"


def show(console: Console, curve: Curve) -> None:
    """Print a curve."""
    table = Table(title=curve.title)
    for head in heads(curve):
        table.add_column(head, justify="right")
    for row in rows(curve):
        table.add_row(*row)
    console.print(table)
    for verdict in curve.verdicts:
        console.print(f"  {verdict.words}", style="" if verdict.holds else "yellow")


def show_table(console: Console, title: str, heads: list[str], rows: list[list[str]]) -> None:
    """Print some rows."""
    table = Table(title=title)
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*row)
    console.print(table)
