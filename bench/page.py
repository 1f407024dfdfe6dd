"""A page with tables and plots that needs nothing but a browser: drawings are SVG, made here."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from bench.cells import Result
from bench.measurement import Found
from bench.report import ARTICLE, article, label

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 300, 64, 190, 16, 44
_COLOURS = ("#1f5fbf", "#b3501e", "#1b7f5c", "#7a3fa0", "#8a6d00", "#a0304f", "#4b5563")

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
    if found.ratios():
        ratios = [[what, f"{ratio:g}"] for what, ratio in found.ratios().items()]
        parts.append(f"<h2>Ganglion against the others, in this run</h2>{_table(['', '×'], ratios)}")
    if found.recoveries:
        parts.append(f"<h2>A crash with 200 workflows in flight</h2>{_recoveries(found)}")
    if found.costs:
        costs = [[cost.name, f"{cost.calls:.2f}", "in a script" if cost.inside else "sent"] for cost in found.costs]
        parts.append(f"<h2>Commands of one workflow</h2>{_table(['command', 'each', ''], costs)}")
    if found.memory:
        parts.append(_memory(found))
    parts += [f"<p class=warning>{escape(text)}</p>" for text in found.left_out]
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


def _memory(found: Found) -> str:
    memory = found.memory
    assert memory is not None
    rows = [
        ["in the hosts, for each", f"{memory.host_bytes:,} bytes"],
        ["in the server, for each, 900 bytes of payloads included", f"{memory.server_bytes:,} bytes"],
        ["all hosts together", f"{memory.hosts_mb:,} MB"],
    ]
    return f"<h2>Memory of {memory.workflows:,} coordinators that wait</h2>{_table(['', ''], rows)}"


# --- plots ------------------------------------------------------------------------------


def _plot(title: str, value: str, runs: list[Result], logarithmic: bool = False) -> str:
    lines: dict[str, list[tuple[int, float]]] = {}
    for run in runs:
        name = label(run)
        lines.setdefault(name, []).append((run.in_flight, getattr(run, value)))
    values = [y for points in lines.values() for _, y in points if y > 0]
    levels = sorted({x for points in lines.values() for x, _ in points})
    if not values or len(levels) < 2:
        return ""
    marks = _logarithmic_marks(values) if logarithmic else _marks(max(values))
    low, high = marks[0], marks[-1]

    def x_of(level: int) -> float:
        share = math.log(level / levels[0] + 1) / math.log(levels[-1] / levels[0] + 1)
        first = math.log(2) / math.log(levels[-1] / levels[0] + 1)
        return _LEFT + (share - first) / (1 - first) * (_WIDTH - _LEFT - _RIGHT)

    def y_of(y: float) -> float:
        share = math.log(max(y, low) / low) / math.log(high / low) if logarithmic else y / high
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    drawn = [f'<text class=soft x="{_LEFT}" y="{_HEIGHT - 6}">workflows in flight</text>']
    for mark in marks:
        y = y_of(mark)
        drawn.append(f'<line class=axis x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(f'<text text-anchor="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{mark:,g}</text>')
    for level in levels:
        drawn.append(f'<text text-anchor="middle" x="{x_of(level):.1f}" y="{_HEIGHT - 26}">{level:,}</text>')
    for number, (name, points) in enumerate(lines.items()):
        drawn.append(_line(number, name, [(x_of(x), y_of(y), x, y) for x, y in sorted(points)]))
    return (
        f'<h2>{escape(title)}</h2><svg role="img" aria-label="{escape(title)} by workflows in flight"'
        f' viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}">{"".join(drawn)}</svg>'
    )


def _line(number: int, name: str, points: list[tuple[float, float, int, float]]) -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    dashes = "" if number < len(_COLOURS) else ' stroke-dasharray="4 3"'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{escape(name)}, {level:,} in flight:'
        f" {value:,.1f}</title></circle>"
        for x, y, level, value in points
    )
    left, y = _WIDTH - _RIGHT + 14, _TOP + 12 + number * 20
    legend = (
        f'<line x1="{left}" x2="{left + 18}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="2"{dashes}/>'
        f'<text x="{left + 24}" y="{y}">{escape(name)}</text>'
    )
    return f'<polyline fill="none" stroke="{colour}" stroke-width="2"{dashes} points="{path}"/>{dots}{legend}'


def _marks(highest: float) -> list[float]:
    """Round numbers from 0 to beyond the highest value."""
    rough = highest / 4
    unit = 10 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough)
    return [step * number for number in range(math.ceil(highest / step) + 1)]


def _logarithmic_marks(values: list[float]) -> list[float]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]
