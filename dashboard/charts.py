"""Drawings as SVG made on the server: attributes and classes only, so that a strict CSP lets them through."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence

from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString


def sparkline(values: Sequence[float], tone: str = "", label: str = "", width: int = 200, height: int = 32) -> str:
    """The course of the values as a line over a faint area; a flat line when there is nothing."""
    tone_class = f" tone-{escape(tone)}" if tone else ""
    head = (
        f'<svg class="spark{tone_class}" viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(label or "course over time")}">'
    )
    if len(values) < 2:
        return f'{head}<path class="line" d="M0 {height - 2}H{width}"/></svg>'
    top = max(values) or 1.0
    step = width / (len(values) - 1)
    points = [f"{i * step:.1f} {height - 2 - (value / top) * (height - 5):.1f}" for i, value in enumerate(values)]
    line = "M" + "L".join(points)
    return f'{head}<path class="area" d="{line}L{width} {height}L0 {height}Z"/><path class="line" d="{line}"/></svg>'


def _level(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def course(
    times: Sequence[dt.datetime],
    values: Sequence[float],
    tone: str,
    unit: str,
    say: Callable[[float], str] = _level,
) -> SafeString:
    """A measure over time with its scale: a line over an area, three levels and the ends of the time axis."""
    width, height, left, bottom = 560, 150, 56, 20
    if len(values) < 2:
        return format_html('<p class="meta chart-none">{}</p>', "Measured every few seconds; the course shows up here.")
    top = _round_up(max(values))
    plot_w, plot_h = width - left - 4, height - bottom - 8
    step = plot_w / (len(values) - 1)
    points = [f"{left + i * step:.1f} {8 + plot_h * (1 - value / top):.1f}" for i, value in enumerate(values)]
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
    line = "M" + "L".join(points)
    return format_html(
        '<svg class="course tone-{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<path class="area" d="{}L{} {}L{} {}Z"/><path class="line" d="{}"/>'
        '<text class="axis" x="{}" y="{}">{} UTC</text>'
        '<text class="axis" x="{}" y="{}" text-anchor="end">{} UTC</text></svg>',
        tone,
        width,
        height,
        f"{unit} now {say(values[-1])}, highest {say(max(values))}".strip(),
        levels,
        line,
        width - 4,
        8 + plot_h,
        left,
        8 + plot_h,
        line,
        left,
        height - 4,
        f"{times[0]:%H:%M}",
        width - 4,
        height - 4,
        f"{times[-1]:%H:%M}",
    )


def _round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value)
