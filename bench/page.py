"""A page with tables and plots that needs nothing but a browser: drawings are SVG, made here."""

from __future__ import annotations

from html import escape
from typing import Any

from bench.cells import Result
from bench.curves import page as curves
from bench.measurement import Found
from bench.peers import comparison
from bench.plot import plot
from bench.report import ARTICLE, article, label

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6472;--line:#d7dce4;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa4b2;--line:#39414e;--paper:#151a21}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1080px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{font-weight:600;color:var(--soft)}
p.note{color:var(--soft)}.warning{border-left:4px solid #c98a00;padding:.4rem .8rem}
svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg .axis{stroke:var(--line)}svg .soft{fill:var(--soft)}
"""


def render(about: dict[str, Any], found: Found) -> str:
    """The whole page."""
    parts = [f"<h1>Ganglion measured</h1>{_about(about)}"]
    if found.runs:
        parts.append(_plot("Workflows a second", "wf_per_s", found.runs))
        parts.append(_plot("p99 from submit to result, ms", "p99_ms", found.runs, logarithmic=True))
        parts.append(f"<h2>Closed loop</h2>{_runs(found)}")
    rows = article(found)
    if rows:
        parts.append(f"<h2>The article’s table, measured</h2>{_table(['', *ARTICLE], rows)}")
    if found.compared.abouts:
        heads = ["", *comparison.SETUP_HEADS]
        parts.append(f"<h2>How the others were set up</h2>{_table(heads, comparison.setups(found.compared.abouts))}")
    if found.peer_ratios():
        compared = _table(["", *comparison.HEADS], comparison.rows(found.peer_ratios()))
        parts.append(f"<h2>Ganglion against the others, in this run</h2>{compared}")
    if found.own_ratios():
        ratios = [[what, f"{ratio:g}"] for what, ratio in found.own_ratios().items()]
        parts.append(f"<h2>Ganglion against the central brains, in this run</h2>{_table(['', '×'], ratios)}")
    if found.recoveries:
        parts.append(f"<h2>A crash with 200 workflows in flight</h2>{_recoveries(found)}")
    if found.costs:
        costs = [[cost.name, f"{cost.calls:.2f}", "in a script" if cost.inside else "sent"] for cost in found.costs]
        parts.append(f"<h2>Commands of one workflow</h2>{_table(['command', 'each', ''], costs)}")
    if found.memory:
        parts.append(f"<h2>Memory of {found.memory.workflows:,} workflows that wait</h2>")
        parts.append(_table(curves.MEMORY_HEADS, curves.memory_rows(found.memory)))
    for curve in found.curves:
        parts.append(curves.render(curve) + _table(curves.heads(curve), curves.rows(curve)))
    if found.console:
        parts.append(f"<h2>The console under load</h2>{_table(['', '', ''], curves.console_rows(found.console))}")
    if found.lists:
        parts.append(f"<h2>Pages of lists over {found.lists[0].rows:,} workflows</h2>")
        parts.append(_table(curves.LIST_HEADS, curves.list_rows(found.lists)))
    parts += [f"<p class=warning>{escape(text)}</p>" for text in [*found.left_out, *found.failures]]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Ganglion measured</title><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def _about(about: dict[str, Any]) -> str:
    machine = about["machine"]
    lines = [
        f"{about['at']}, {about['took_s']:g} s.",
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']};"
        f" fdatasync {machine['fdatasync_ms']} ms; load at start {machine['load_at_start']}.",
        ", ".join(f"{name} {value}" for name, value in about["versions"].items()),
        "; ".join(f"{name}: {value}" for name, value in about["settings"].items()),
    ]
    notes = "".join(f"<p class=note>{escape(line)}</p>" for line in lines)
    return notes + "".join(f"<p class=warning>{escape(text)}</p>" for text in about["warnings"])


def _table(heads: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th scope=col>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _runs(found: Found) -> str:
    heads = ["engine", "agents", "durability", "in flight", "workflows/s", "runs", "p50 ms", "p95 ms", "p99 ms",
             "CPU-ms a workflow", "of which", "history after s"]  # fmt: skip
    rows = []
    for run in found.runs:
        cpu = ", ".join(f"{name} {ms:.2f}" for name, ms in run.cpu_by_process.items() if ms >= 0.01)
        spread = " ".join(f"{value:,.0f}" for value in run.wf_per_s_runs)
        rows.append(
            [run.engine, run.agents, run.durability, f"{run.in_flight:,}", f"{run.wf_per_s:,.0f}", spread,
             f"{run.p50_ms:,.1f}", f"{run.p95_ms:,.1f}", f"{run.p99_ms:,.1f}", f"{run.cpu_ms_per_wf:.2f}", cpu,
             f"{run.behind_s:.2f}"]
        )  # fmt: skip
    return _table(heads, rows)


def _recoveries(found: Found) -> str:
    heads = ["killed", "in flight", "led by it", "lost", "first s", "median s", "all s"]
    rows = [
        [crash.killed, str(crash.in_flight), str(crash.affected), str(crash.lost),
         *("–" if value is None else f"{value:.2f}" for value in (crash.first_s, crash.median_s, crash.all_s))]
        for crash in found.recoveries
    ]  # fmt: skip
    return _table(heads, rows)


def _plot(title: str, value: str, runs: list[Result], logarithmic: bool = False) -> str:
    lines: dict[str, list[tuple[int, float]]] = {}
    for run in runs:
        lines.setdefault(label(run), []).append((run.in_flight, getattr(run, value)))
    drawn = plot(title, "workflows in flight", lines, logarithmic)
    return f"<h2>{escape(title)}</h2>{drawn}" if drawn else ""
