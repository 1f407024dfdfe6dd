"""Plots as SVG that stand for themselves: lines over sizes that lie side by side, however far apart they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 300, 64, 190, 16, 44
_COLOURS = ("#1f5fbf", "#b3501e", "#1b7f5c", "#7a3fa0", "#8a6d00", "#a0304f", "#4b5563")


def plot(title: str, axis: str, lines: Mapping[str, Sequence[tuple[int, float]]], logarithmic: bool = False) -> str:
    """A drawing; empty with fewer than two sizes, or when nothing is above zero.

    Args:
        title: For readers of screens.
        axis: What the sizes count.
        lines: For each name its points, as size and value.
        logarithmic: Whether values are drawn by their powers of ten.
    """
    values = [y for points in lines.values() for _, y in points if y > 0]
    sizes = sorted({x for points in lines.values() for x, _ in points})
    if not values or len(sizes) < 2:
        return ""
    marks = _logarithmic_marks(values) if logarithmic else _marks(max(values))
    low, high = marks[0], marks[-1]

    def x_of(size: int) -> float:
        return _LEFT + sizes.index(size) / (len(sizes) - 1) * (_WIDTH - _LEFT - _RIGHT)

    def y_of(y: float) -> float:
        share = math.log(max(y, low) / low) / math.log(high / low) if logarithmic else y / high
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    drawn = [f'<text class=soft x="{_LEFT}" y="{_HEIGHT - 6}">{escape(axis)}</text>']
    for mark in marks:
        y = y_of(mark)
        drawn.append(f'<line class=axis x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(f'<text text-anchor="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{mark:,g}</text>')
    for size in sizes:
        drawn.append(f'<text text-anchor="middle" x="{x_of(size):.1f}" y="{_HEIGHT - 26}">{size:,}</text>')
    for number, (name, points) in enumerate(lines.items()):
        drawn.append(_line(number, name, axis, [(x_of(x), y_of(y), x, y) for x, y in sorted(points)]))
    return (
        f'<svg role="img" aria-label="{escape(title)} by {escape(axis)}"'
        f' viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}">{"".join(drawn)}</svg>'
    )


def _line(number: int, name: str, axis: str, points: list[tuple[float, float, int, float]]) -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    dashes = "" if number < len(_COLOURS) else ' stroke-dasharray="4 3"'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{escape(name)}, {size:,} {escape(axis)}:'
        f" {value:,.1f}</title></circle>"
        for x, y, size, value in points
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
