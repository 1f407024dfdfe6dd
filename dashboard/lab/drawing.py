"""The course of an experiment as a drawing: one thin lane for each thing that was interrupted, time from the kill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from dashboard.retelling import retold
from dashboard.wording import brief_duration, duration

WIDTH, LEFT, RIGHT, TOP, BOTTOM, LANE = 760, 12, 28, 34, 26, 7
_STEPS_MS = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_TICKS = 9
_APART = 96  # between the words of two marks


def draw(figures: dict[str, Any], running: bool) -> str:
    """The lanes, sorted by when each went on; nothing before the kill."""
    rows, marks = figures.get("rows") or [], figures.get("marks") or []
    if not rows:
        return ""
    known = [value for row in rows for value in (row["taken"], row["next"]) if value is not None]
    known += [mark["at"] for mark in marks]
    end = max([*known, 1000.0, figures.get("now", 0.0) if running else 0.0]) * 1.04
    height = TOP + LANE * len(rows) + BOTTOM
    ordered = sorted(rows, key=lambda row: (row["lost"], row["taken"] or 0.0, row["next"] or 1e12))
    lanes = format_html_join("", "{}", ((_lane(row, n, end, running),) for n, row in enumerate(ordered)))
    return format_html(
        '<svg class="lab-course" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>',
        WIDTH,
        height,
        _("Course of %(count)s interrupted workflows or tasks over %(time)s from the kill")
        % {"count": len(rows), "time": duration(end)},
        _axis(end, height),
        lanes,
        _marks(marks, end, height),
    )


def _x(at: float, end: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * max(0.0, min(at, end)) / end, 1)


def _axis(end: float, height: int) -> SafeString:
    every = next((step for step in _STEPS_MS if end / step <= _TICKS), _STEPS_MS[-1])
    return format_html_join(
        "",
        '<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/><text class="axis" x="{0}" y="{3}"'
        ' text-anchor="middle">{4}</text>',
        (
            (_x(at, end), TOP, height - BOTTOM, height - 8, brief_duration(at) if at else "0")
            for at in range(0, int(end) + 1, every)
        ),
    )


def _marks(marks: list[dict[str, Any]], end: float, height: int) -> SafeString:
    found = [{"at": 0.0, "words": _("killed"), "tone": "failed"}, *marks]
    return format_html_join(
        "",
        '<line class="lab-mark tone-{1}" x1="{0}" x2="{0}" y1="{2}" y2="{3}"/><text class="lab-word tone-{1}" x="{0}"'
        ' y="{4}">{5}</text>',
        (
            (x, mark["tone"], TOP - 8, height - BOTTOM, y, retold(mark["words"]))
            for mark, x, y in ((mark, _x(mark["at"], end), _row(mark, end)) for mark in found)
        ),
    )


def _row(mark: dict[str, Any], end: float) -> int:
    """Words close to those of the kill stand above them."""
    return 12 if 0 < _x(mark["at"], end) - LEFT < _APART / 2 else 23


def _lane(row: dict[str, Any], number: int, end: float, running: bool) -> SafeString:
    y = TOP + LANE * number + LANE / 2
    return format_html("<g><title>{}</title>{}</g>", _words(row), format_html_join("", "{}", _parts(row, y, end)))


def _parts(row: dict[str, Any], y: float, end: float) -> Iterator[tuple[SafeString]]:
    taken, after = row["taken"], row["next"]
    until = taken if taken is not None else after
    tone = "failed" if row["lost"] else "waiting"
    yield (_line(0.0, end if until is None else until, y, end, f"lab-wait tone-{tone}"),)
    if taken is not None:
        yield (_line(taken, end if after is None else after, y, end, "lab-replay"),)
        yield (_dot(taken, y, end, "takeover"),)
    if after is not None:
        yield (_dot(after, y, end, "done"),)


def _line(begin: float, until: float, y: float, end: float, css: str) -> SafeString:
    return format_html('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>', css, _x(begin, end), _x(until, end), y, y)


def _dot(at: float, y: float, end: float, tone: str) -> SafeString:
    return format_html('<circle class="lab-dot tone-{}" cx="{}" cy="{}" r="2.6"/>', tone, _x(at, end), y)


def _words(row: dict[str, Any]) -> str:
    said = [row["id"]]
    if row["lost"]:
        said.append(_("lost"))
    if row["taken"] is not None:
        said.append(_("taken up after %(time)s") % {"time": duration(row["taken"])})
    if row["next"] is not None:
        said.append(_("went on after %(time)s") % {"time": duration(row["next"])})
    return ", ".join(said)
