"""The report as one page that needs nothing else: styles within, drawings as SVG, light and dark."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path

from tests.chaos.report import Report, Spread

_TEMPLATE = Path(__file__).with_name("page.html")
_WIDTH, _LEFT, _RIGHT = 1080, 128, 12
_LANE, _CHART, _AXIS = 20, 96, 18
_TONES = {  # what a fault does: processes end, stand still, the network, code and input
    "kill": "failed", "term": "paused", "stop": "waiting", "zombie": "waiting",
    "network": "running", "cut": "running", "dropped": "running", "open": "running",
}  # fmt: skip
_MOST_POINTS = 540


def render(report: Report) -> str:
    """The page."""
    parts = {
        "verdict": _verdict(report),
        "figures": _figures(report),
        "timeline": _timeline(report),
        "recovery": _recovery(report),
        "times": _times(report),
        "soak": _soak(report),
        "checks": _checks(report),
        "command": html.escape(f"bin/chaos {report.command}"),
        "title": f"Fault run, seed {report.seed}",
    }
    page = _TEMPLATE.read_text(encoding="utf-8")
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part)
    return page


def _verdict(report: Report) -> str:
    if report.broken:
        rows = "".join(f"<li>{html.escape(line)}</li>" for line in report.broken[:50])
        more = (
            f"<li>and {len(report.broken) - 50} more; the JSON report has all</li>" if len(report.broken) > 50 else ""
        )
        return (
            f'<p class="verdict failed">{len(report.broken)} invariants broke.</p><ul class="broken">{rows}{more}</ul>'
        )
    faults = sum(report.faults.values())
    words = f"Every invariant held: {report.accepted:,} workflows, {faults:,} faults, nothing lost, nothing twice."
    return f'<p class="verdict done">{words}</p>'


def _figures(report: Report) -> str:
    refused = f"of {report.fenced_writes:,}; {report.stale_epoch_refused} refused"
    repeated = f"{report.doubled_effects} doubled; {report.repeat_runs} repeated after kills"
    takeover = f"max {report.takeover_max_s:g} s, {report.takeovers:,} workflows"
    cards = (
        ("Workflows", f"{report.completed:,}", f"of {report.accepted:,} accepted; {report.lost} lost"),
        ("Effects", f"{report.effects:,}", repeated),
        ("Stale writes", f"{report.stale_epoch_writes:,}", refused),
        ("Escalations", f"{report.escalations_resolved:,}", f"resolved of {report.escalations_opened:,} opened"),
        ("Takeover p99", f"{report.takeover_p99_s:g} s", takeover),
        ("Throughput", f"{report.workflows_per_s:g}/s", f"over {report.minutes:g} min, faults included"),
    )  # fmt: skip
    return "".join(
        f'<div class="card"><h3>{name}</h3><p class="big">{value}</p><p class="meta">{words}</p></div>'
        for name, value, words in cards
    )


# --- drawings -------------------------------------------------------------------------------


class _Scale:
    """Places times and values in a drawing."""

    def __init__(self, report: Report) -> None:
        firsts = [report.began_ms, *(fault.at_ms for fault in report.fired)]
        self.begin_ms = min(value for value in firsts if value) if any(firsts) else 0
        self.end_ms = max([report.ended_ms, self.begin_ms + 1000, *(fault.until_ms for fault in report.fired)])

    def x(self, at_ms: float) -> float:
        """Where a moment stands."""
        share = (at_ms - self.begin_ms) / (self.end_ms - self.begin_ms)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _timeline(report: Report) -> str:
    """Throughput, then a lane for each fault, then one for takeovers, over the same time."""
    scale = _Scale(report)
    lanes = list(report.faults)
    height = _CHART + _LANE * (len(lanes) + 1) + _AXIS + 8
    drawn = [_throughput(report, scale)]
    for place, name in enumerate(lanes):
        y = _CHART + 8 + place * _LANE
        drawn.append(f'<text class="lane" x="0" y="{y + 14}">{html.escape(name)}</text>')
        drawn.append(f'<line class="hair" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y + _LANE}" y2="{y + _LANE}"/>')
        for fault in report.fired:
            if fault.name == name:
                x = scale.x(fault.at_ms)
                wide = max(3.0, scale.x(fault.until_ms) - x)
                about = f"{name} on {fault.target}, {(fault.at_ms - scale.begin_ms) / 1000:.1f} s"
                shape = f'x="{x}" y="{y + 4}" width="{wide:.1f}" height="{_LANE - 8}" rx="2"'
                drawn.append(f'<rect class="{_tone(name)}" {shape}><title>{html.escape(about)}</title></rect>')
    drawn.append(_takeovers(report, scale, _CHART + 8 + len(lanes) * _LANE))
    drawn.append(_axis(scale, height))
    label = "Workflows ended for each second, faults and takeovers over time"
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">{"".join(drawn)}</svg>'


def _tone(name: str) -> str:
    return next((tone for part, tone in _TONES.items() if part in name), "human")


def _thinned(values: list[int]) -> tuple[list[float], int]:
    """At most so many points as a screen shows: means over equal pieces, and the piece's length."""
    piece = max(1, -(-len(values) // _MOST_POINTS))
    return [sum(values[at : at + piece]) / len(values[at : at + piece]) for at in range(0, len(values), piece)], piece


def _throughput(report: Report, scale: _Scale) -> str:
    points, piece = _thinned(report.throughput)
    if not points:
        return ""
    most = max(points) or 1
    places = [
        f"{scale.x(report.began_ms + (at + 0.5) * piece * 1000)} {_CHART - value / most * (_CHART - 14):.1f}"
        for at, value in enumerate(points)
    ]
    begin, end = places[0].split()[0], places[-1].split()[0]
    return (
        f'<text class="lane" x="0" y="24">ended/s</text><text class="meta" x="0" y="40">most {most:,.0f}</text>'
        f'<path class="area" d="M{begin} {_CHART}L{"L".join(places)}L{end} {_CHART}Z"/>'
        f'<path class="line" d="M{"L".join(places)}"/>'
        f'<line class="hair" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_CHART}" y2="{_CHART}"/>'
    )


def _takeovers(report: Report, scale: _Scale, y: int) -> str:
    drawn = [f'<text class="lane" x="0" y="{y + 14}">takeovers</text>']
    for taken in report.each_takeover:
        x = scale.x(taken.at_ms + taken.first_s * 1000)
        wide = max(3.0, scale.x(taken.at_ms + taken.last_s * 1000) - x)
        when = f"{taken.first_s:.2f} to {taken.last_s:.2f} s after {taken.cause}"
        about = f"{taken.workflows} workflows of {taken.host}, {when}"
        shape = f'x="{x}" y="{y + 4}" width="{wide:.1f}" height="{_LANE - 8}" rx="2"'
        drawn.append(f'<rect class="takeover" {shape}><title>{html.escape(about)}</title></rect>')
    return "".join(drawn)


def _axis(scale: _Scale, height: int) -> str:
    seconds = (scale.end_ms - scale.begin_ms) / 1000
    step = next((s for s in (5, 10, 30, 60, 120, 300, 600) if seconds / s <= 12), 1800)
    marks: list[str] = []
    for at in range(0, int(seconds * 0.97) + 1, step):  # the last one needs room
        words = f"{at // 60}:{at % 60:02d}"
        marks.append(f'<text class="meta" x="{scale.x(scale.begin_ms + at * 1000)}" y="{height - 4}">{words}</text>')
    return "".join(marks)


# --- tables ---------------------------------------------------------------------------------


def _row(cells: Iterable[object]) -> str:
    first, *others = (html.escape(str(cell)) for cell in cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _recovery(report: Report) -> str:
    most = max([spread.max_s for spread in report.recovery.values()] + [1.0])
    rows = []
    for name, spread in sorted(report.recovery.items(), key=lambda pair: -pair[1].p50_s):
        bar = (
            '<svg class="bar" viewBox="0 0 200 12" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect class="faint" width="{spread.max_s / most * 200:.0f}" y="2" height="8" rx="2"/>'
            f'<rect class="{_tone(name)}" width="{spread.p50_s / most * 200:.0f}" y="2" height="8" rx="2"/></svg>'
        )
        cells = f"<td>{spread.count}</td><td>{spread.p50_s:g} s</td><td>{spread.max_s:g} s</td><td>{bar}</td>"
        rows.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    return "".join(rows)


def _times(report: Report) -> str:
    takeover = Spread(report.takeovers, report.takeover_p50_s, report.takeover_p99_s, report.takeover_max_s)
    spreads = (
        ("host killed or frozen → its workflows taken up", takeover),
        ("SIGKILL → next step, of those that had one to do", report.next_step),
        ("SIGKILL → next entry, of those with a task at an agent", report.next_entry),
        ("SIGKILL → the host's process works again", report.host_back),
        ("SIGTERM → workflows handed over", report.hand_over),
    )
    rows = []
    for name, spread in spreads:
        found = [f"{value:g} s" if spread.count else "–" for value in (spread.p50_s, spread.p99_s, spread.max_s)]
        rows.append(_row((name, f"{spread.count:,}", *found)))
    return "".join(rows)


def _soak(report: Report) -> str:
    rows = []
    for gauge in report.gauges:
        verdict = {True: "flat", False: "grows", None: "too short to tell"}[gauge.flat]
        tone = {True: "done", False: "failed", None: "paused"}[gauge.flat]
        cells = f"<td>{gauge.middle:,.0f}</td><td>{gauge.last:,.0f}</td><td>{_spark(gauge.values)}</td>"
        state = f'<td><span class="state {tone}">{verdict}</span></td>'
        rows.append(f'<tr><th scope="row">{html.escape(gauge.name)}</th>{cells}{state}</tr>')
    return "".join(rows)


def _spark(values: list[float]) -> str:
    if len(values) < 2:
        return ""
    most, steps = max(values) or 1, len(values) - 1
    points = "L".join(f"{at / steps * 200:.1f} {22 - value / most * 20:.1f}" for at, value in enumerate(values))
    head = '<svg class="spark" viewBox="0 0 200 24" preserveAspectRatio="none" aria-hidden="true">'
    return f'{head}<path class="line" d="M{points}"/></svg>'


def _checks(report: Report) -> str:
    facts = (
        ("accepted workflows that are not in the history as ended", report.lost),
        ("workflows that ended otherwise than they must", report.wrong),
        ("acknowledged signals and decisions that are in no journal", report.acknowledgements_lost),
        ("effects that happened twice without a kill or a frost", report.doubled_effects),
        ("starts repeated after a kill or a frost, under the same idempotency key", report.repeat_runs),
        ("writes accepted under an epoch that had ended", report.stale_epoch_writes),
        ("writes refused because their epoch had ended", report.stale_epoch_refused),
        ("hosts declared dead to which nothing had been done", report.wrong_takeovers),
        ("people asked about workflows whose code harms nobody", report.asked_about_innocents),
        ("junk entries set aside", report.quarantined),
        ("submits repeated after their acknowledgement", report.repeated_submits),
        ("seconds the checker took", report.checked_s),
    )
    return "".join(_row((name, f"{value:,}")) for name, value in facts)
