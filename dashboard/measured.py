"""Curves of the last measurement as the console shows them: tables, verdicts, and drawings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.utils.html import format_html, format_html_join

DRAWN = 2  # figures of a curve that are drawn: those that matter most
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 560, 150, 56, 20


class Curve(NamedTuple):
    """One thing that grows, and what it does to speed."""

    name: str
    title: str
    note: str
    heads: list[str]
    rows: list[list[str]]
    verdicts: list[dict[str, Any]]
    drawings: list[str]


def curves(found: Sequence[dict[str, Any]]) -> list[Curve]:
    """The curves that ``bin/bench`` wrote."""
    return [_curve(one) for one in found]


def _curve(one: dict[str, Any]) -> Curve:
    figures, points = one["figures"], one["points"]
    rows = [[f"{point['size']:,}", *(say(point.get(figure["name"])) for figure in figures)] for point in points]
    sizes = [point["size"] for point in points]
    drawings = [
        drawing([point[figure["name"]] for point in points], sizes, figure["words"])
        for figure in figures[:DRAWN]
        if all(figure["name"] in point for point in points)
    ]
    heads = [one["axis"], *(figure["words"] for figure in figures)]
    return Curve(one["name"], one["title"], one["note"], heads, rows, one["verdicts"], drawings)


def say(value: float | None) -> str:
    """A figure with as many digits as it is worth."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 10 else f"{value:.2f}"


def drawing(values: Sequence[float], sizes: Sequence[int], words: str) -> str:
    """A line over sizes that lie side by side, from zero up; nothing for fewer than two."""
    if len(values) < 2 or max(values) <= 0:
        return ""
    top, right, height = max(values), _WIDTH - 24, _HEIGHT - _BOTTOM - 12
    step = (right - _LEFT) / (len(values) - 1)
    places = [(_LEFT + number * step, 12 + height * (1 - value / top)) for number, value in enumerate(values)]
    return format_html(
        '<svg class="course" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><line class="grid" x1="{}" x2="{}" y1="12" y2="12"/>'
        '<text class="axis" x="{}" y="16" text-anchor="end">{}</text>'
        '<text class="axis" x="{}" y="{}" text-anchor="end">0</text>{}<path class="line tone-running" d="{}"/></svg>',
        _WIDTH, _HEIGHT, words, _LEFT, right, 12 + height, 12 + height, _LEFT, right, _LEFT - 6, say(top),
        _LEFT - 6, 16 + height,
        format_html_join(
            "", '<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>',
            ((f"{x:.1f}", _HEIGHT - 4, f"{size:,}") for (x, _), size in zip(places, sizes, strict=True)),
        ),
        "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places),
    )  # fmt: skip
