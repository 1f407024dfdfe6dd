"""The step graph: a workflow's steps from top to bottom, branches of a gather side by side in a frame.

The layout follows from the steps' ids alone: ``3.0.1`` is step 1 of branch 0 of the gather that is step 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from django.contrib.staticfiles.storage import staticfiles_storage
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from coordination.domain import StepView
from dashboard.folding import Fold, Line, path_of
from dashboard.wording import duration, look

NODE_W, NODE_H = 180, 42
GAP_X, GAP_Y, PAD, HEAD = 12, 18, 10, 20
COLUMNS = 3  # branches side by side before they wrap

_COMPARE = tuple[int, ...]


@dataclass
class _Box:
    """A step, a fold, or a gather with its branches, placed."""

    width: int = NODE_W
    height: int = NODE_H
    step: Line | None = None
    branches: list[list[_Box]] = field(default_factory=list)
    words: str = ""
    x: int = 0
    y: int = 0


def _path(line: Line) -> _COMPARE:
    return (
        path_of(line.steps[0])[: line.id.partition("~")[0].count(".") + 1] if isinstance(line, Fold) else path_of(line)
    )


def _sequence(items: list[tuple[_COMPARE, Line]]) -> list[_Box]:
    """The boxes of one branch; each item's path is relative to it."""
    boxes: list[_Box] = []
    groups: dict[int, list[tuple[_COMPARE, Line]]] = {}
    for path, step in items:
        groups.setdefault(path[0], []).append((path[1:], step))
    for members in (groups[key] for key in sorted(groups)):
        for path, step in members:
            if not path:
                boxes.append(_Box(step=step))
        deeper: dict[int, list[tuple[_COMPARE, Line]]] = {}
        for path, step in members:
            if len(path) >= 2:
                deeper.setdefault(path[0], []).append((path[1:], step))
            elif len(path) == 1:
                deeper.setdefault(path[0], []).append(((0,), step))
        if deeper:
            folded = any(isinstance(line, Fold) and not path for path, line in members)
            branches = [_sequence(branch) for _, branch in sorted(deeper.items())]
            boxes.append(_Box(branches=branches, words=_("to look at") if folded else _("in parallel")))
    return boxes


def _measure(boxes: list[_Box]) -> tuple[int, int]:
    width = height = 0
    for box in boxes:
        if box.branches:
            sizes = [_measure(branch) for branch in box.branches]
            rows = [sizes[i : i + COLUMNS] for i in range(0, len(sizes), COLUMNS)]
            box.width = max(sum(w for w, _ in row) + GAP_X * (len(row) - 1) for row in rows) + 2 * PAD
            box.height = sum(max(h for _, h in row) for row in rows) + GAP_X * (len(rows) - 1) + HEAD + 2 * PAD
        width, height = max(width, box.width), height + box.height + GAP_Y
    return width, max(0, height - GAP_Y)


def _place(boxes: list[_Box], x: int, y: int, width: int) -> None:
    for box in boxes:
        box.x, box.y = x + (width - box.width) // 2, y
        top = y + HEAD + PAD
        for start in range(0, len(box.branches), COLUMNS):
            row = box.branches[start : start + COLUMNS]
            left, tallest = box.x + PAD, 0
            for branch in row:
                branch_w, branch_h = _measure(branch)
                _place(branch, left, top, branch_w)
                left, tallest = left + branch_w + GAP_X, max(tallest, branch_h)
            top += tallest + GAP_X
        y += box.height + GAP_Y


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _spent(step: StepView, now_ms: int) -> str:
    if not step.started_ms:
        return ""
    return duration((step.finished_ms or now_ms) - step.started_ms)


def _node(box: _Box, step: StepView, href: str, selected: bool, now_ms: int) -> SafeString:
    seen = look(step.state.value)
    tries = " · " + _("attempt %(number)s") % {"number": step.attempts[-1].number} if len(step.attempts) > 1 else ""
    done = f" · {step.progress:.0%}" if step.progress is not None and not step.finished_ms else ""
    took = _spent(step, now_ms) if step.finished_ms else ""
    sub = f"{seen.words}{done}{tries}{f' · {took}' if took else ''}"
    icons = staticfiles_storage.url("vendor/icons/icons.svg")
    return format_html(
        '<a class="node tone-{tone}{selected}" href="{href}" hx-get="{href}" hx-target="#wf-body" hx-swap="innerMorph"'
        ' hx-push-url="true" aria-label="{label}"{current}>'
        '<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6"/>'
        '<svg class="node-icon" x="{ix}" y="{iy}" width="16" height="16"><use href="{icons}#{icon}"/></svg>'
        '<text class="node-name" x="{tx}" y="{ty}">{shown}</text><text class="node-sub" x="{tx}" y="{sy}">{sub}</text>'
        "<title>{title}</title></a>",
        tone=seen.tone,
        selected=" selected" if selected else "",
        href=href,
        label=_("Step %(id)s: %(name)s, %(state)s") % {"id": step.id, "name": step.name, "state": _clipped(sub, 24)},
        title=_("%(name)s · step %(id)s") % {"id": step.id, "name": step.name},
        current=SafeString(' aria-current="step"') if selected else "",
        sub=_clipped(sub, 24),
        x=box.x,
        y=box.y,
        w=box.width,
        h=box.height,
        ix=box.x + 11,
        iy=box.y + 13,
        icons=icons,
        icon=seen.icon,
        tx=box.x + 36,
        ty=box.y + 18,
        sy=box.y + 33,
        shown=_clipped(step.name, 19),
    )


def _fold_node(box: _Box, line: Fold, href: str) -> SafeString:
    counts = ", ".join(f"{count} {look(state.value).words.lower()}" for state, count in line.counts)
    return format_html(
        '<a class="node node-fold tone-{tone}" href="{href}" hx-get="{href}" hx-target="#wf-body" hx-swap="innerMorph"'
        ' hx-push-url="true" aria-label="{label}">'
        '<rect class="stack" x="{x3}" y="{y3}" width="{w}" height="{h}" rx="6"/>'
        '<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6"/>'
        '<text class="node-name" x="{tx}" y="{ty}">{shown}</text><text class="node-sub" x="{tx}" y="{sy}">{sub}</text>'
        "<title>{name}: {counts}</title></a>",
        tone=look(line.state.value).tone,
        href=href,
        label=_("%(name)s: %(counts)s. Open") % {"name": line.name, "counts": counts},
        name=line.name,
        counts=counts,
        x=box.x,
        y=box.y,
        x3=box.x + 4,
        y3=box.y + 4,
        w=box.width - 4,
        h=box.height - 4,
        tx=box.x + 12,
        ty=box.y + 16,
        sy=box.y + 31,
        shown=_clipped(line.name, 23),
        sub=_clipped(counts, 27),
    )


def _draw(boxes: list[_Box], selected: str, href: Callable[[Line], str], now_ms: int) -> list[SafeString]:
    parts: list[SafeString] = []
    for above, below in pairwise(boxes):
        x = above.x + above.width // 2
        parts.append(format_html('<path class="edge" d="M{} {}V{}"/>', x, above.y + above.height, below.y))
    for box in boxes:
        if isinstance(box.step, Fold):
            parts.append(_fold_node(box, box.step, href(box.step)))
            continue
        if box.step is not None:
            parts.append(_node(box, box.step, href(box.step), box.step.id == selected, now_ms))
            continue
        parts.append(
            format_html(
                '<rect class="gather" x="{}" y="{}" width="{}" height="{}" rx="8"/>'
                '<text class="node-sub" x="{}" y="{}">{} {}</text>',
                box.x,
                box.y,
                box.width,
                box.height,
                box.x + PAD,
                box.y + 19,
                len(box.branches),
                box.words,
            )
        )
        for branch in box.branches:
            parts.extend(_draw(branch, selected, href, now_ms))
    return parts


def draw(lines: Sequence[Line], selected: str, href: Callable[[Line], str], now_ms: int) -> SafeString:
    """The graph as SVG with a link on each step and fold; in true size, for a container that scrolls."""
    boxes = _sequence([(_path(line), line) for line in lines])
    width, height = _measure(boxes)
    _place(boxes, 2, 2, width)
    body = format_html_join("", "{}", ((part,) for part in _draw(boxes, selected, href, now_ms)))
    return format_html(
        '<svg class="graph" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="group" aria-label="{label}">'
        "{body}</svg>",
        w=width + 4,
        h=height + 4,
        label=_("Steps"),
        body=body,
    )
