"""Drawings as SVG made on the server: attributes and classes only, so that a strict CSP lets them through."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence

from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from dashboard import language
from dashboard.wording import number, stamp


def sparkline(values: Sequence[float], tone: str = "", label: str = "", width: int = 200, height: int = 32) -> str:
    """The course of the values as a line over a faint area; a flat line when there is nothing."""
    tone_class = f" tone-{escape(tone)}" if tone else ""
    head = (
        f'<svg class="spark{tone_class}" viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(label or _("course over time"))}">'
    )
    if len(values) < 2:
        return f'{head}<path class="line" d="M0 {height - 2}H{width}"/></svg>'
    top = max(values) or 1.0
    step = width / (len(values) - 1)
    points = [f"{i * step:.1f} {height - 2 - (value / top) * (height - 5):.1f}" for i, value in enumerate(values)]
    line = "M" + "L".join(points)
    return f'{head}<path class="area" d="{line}L{width} {height}L0 {height}Z"/><path class="line" d="{line}"/></svg>'


@language.remembered
def ticks(done: int, total: int, state: str = "running", retrying: int = 0) -> SafeString:
    """Progress as one tick a step; many steps share the same width."""
    total = max(int(total), int(done), 1)
    shown = min(total, 12)
    full = round(int(done) / total * shown)
    tones = {
        "failed": "t-failed",
        "needs_human": "t-human",
        "waiting": "t-waiting",
        "cancelled": "t-idle",
        "queued": "t-todo",
    }
    attention = "t-waiting" if retrying else tones.get(state, "t-running")
    kinds = ["t-done"] * full + [attention] * (1 if full < shown else 0)
    kinds += ["t-todo"] * (shown - len(kinds))
    bars = format_html_join(
        "", '<rect class="{}" x="{}" width="5" height="10" rx="1"/>', ((k, i * 7) for i, k in enumerate(kinds))
    )
    return format_html(
        '<svg class="ticks" role="img" aria-label="{}" width="{}" height="10">{}</svg>',
        _("%(done)s of %(total)s steps done") % {"done": done, "total": total},
        shown * 7 - 2,
        bars,
    )


def _level(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.0f}k"
    return number(value, 0 if value >= 10 or value == int(value) else 1)


def course(
    times: Sequence[dt.datetime],
    columns: Sequence[Sequence[float | None]],
    tones: Sequence[str],
    unit: str,
    say: Callable[[float], str] = _level,
) -> SafeString:
    """Measures over time with their scale: a line each, three levels, the ends of the time.

    Args:
        times: When each value was measured.
        columns: The measures; a value that is missing leaves a gap.
        tones: The tone of each measure.
        unit: What the last measure counts.
        say: Writes a value.
    """
    width, height, left, bottom = 560, 150, 56, 20
    known = [value for column in columns for value in column if value is not None]
    if len(times) < 2 or not known:
        return format_html(
            '<p class="meta chart-none">{}</p>', _("Measured every few seconds; the course shows up here.")
        )
    top = _round_up(max(known))
    plot_w, plot_h = width - left - 4, height - bottom - 8
    step = plot_w / (len(times) - 1)
    levels = format_html_join(
        "",
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>',
        (
            (left, width - 4, f"{y:.1f}", f"{y:.1f}", left - 6, f"{y + 4:.1f}", say(top * share) if share else "0")
            for share in (0.0, 0.5, 1.0)
            for y in (8 + plot_h * (1 - share),)
        ),
    )
    lines = format_html_join(
        "",
        '<path class="line tone-{}" d="{}"/>',
        (
            (
                tone,
                _path(
                    [(left + i * step, None if v is None else 8 + plot_h * (1 - v / top)) for i, v in enumerate(column)]
                ),
            )
            for tone, column in zip(tones, columns, strict=True)
        ),
    )
    last = [value for value in columns[-1] if value is not None]
    days = times[-1] - times[0] > dt.timedelta(hours=12)
    return format_html(
        '<svg class="course" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}'
        '<text class="axis" x="{}" y="{}">{}</text>'
        '<text class="axis" x="{}" y="{}" text-anchor="end">{}</text></svg>',
        width,
        height,
        _described(unit, say(last[-1]), say(max(last))) if last else unit,
        levels,
        lines,
        left,
        height - 4,
        _end(times[0], days),
        width - 4,
        height - 4,
        _end(times[-1], days),
    )


def _end(moment: dt.datetime, with_day: bool) -> str:
    return stamp(moment, "%H:%M") if with_day else f"{moment:%H:%M} UTC"


def _described(unit: str, now: str, highest: str) -> str:
    said = _("%(unit)s now %(now)s, highest %(highest)s") % {"unit": unit, "now": now, "highest": highest}
    return said.strip()


def _path(points: Sequence[tuple[float, float | None]]) -> str:
    """Lines through the points that are there."""
    drawn, pen = "", "M"
    for x, y in points:
        if y is not None:
            drawn += f"{pen}{x:.1f} {y:.1f}" + ("h0" if pen == "M" else "")  # a lone one is a dot
        pen = "M" if y is None else "L"
    return drawn


def _round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value)
