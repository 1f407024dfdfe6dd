"""The timeline: a lane for each step, its attempts as bars, queue time hatched, run time solid.

Times in which nothing was queued or running can be collapsed, so that three hours of waiting for a
person do not squeeze two seconds of work into a dot.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from coordination.domain import AttemptView, JournalRow, StepView
from dashboard.folding import Fold, Line
from dashboard.retelling import retold
from dashboard.wording import duration, look

LANE, PLOT, TOP, EDGE = 24, 900, 30, 44
PAPER = 780  # the whole drawing is squeezed into this width when it is printed
_TICK = 60  # room that the words of a tick need
ZOOMS = (1, 2, 4, 8, 16, 32)
BREAK = 34  # width of a collapsed time
_WORTH = 0.2  # a time is collapsed when it is longer than this share of all the busy time
_LEAST_MS = 1_000
_STEPS_MS = (
    10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
    21_600_000, 86_400_000, 604_800_000,
)  # fmt: skip


@dataclass(frozen=True)
class Stretch:
    """A part of the axis; a collapsed one stands for time in which nothing was queued or running."""

    start_ms: int
    end_ms: int
    x: float
    width: float
    collapsed: bool = False


class Scale:
    """Moments to places on the time axis."""

    def __init__(
        self, start_ms: int, end_ms: int, busy: Iterable[tuple[int, int]] | None = None, zoom: int = 1
    ) -> None:
        self.start_ms, self.end_ms = start_ms, max(start_ms + 1, end_ms)
        spans = [(start_ms, self.end_ms, False)] if busy is None else self._spans(busy)
        shown_ms = sum(end - begin for begin, end, collapsed in spans if not collapsed) or 1
        room = PLOT * zoom - BREAK * sum(collapsed for _, _, collapsed in spans)
        self.stretches, x = [], 0.0
        for begin, end, collapsed in spans:
            width = float(BREAK) if collapsed else max(1.0, room * (end - begin) / shown_ms)
            self.stretches.append(Stretch(begin, end, x, width, collapsed))
            x += width
        self.width = round(x)
        self._begins = [stretch.start_ms for stretch in self.stretches]

    def _spans(self, busy: Iterable[tuple[int, int]]) -> list[tuple[int, int, bool]]:
        merged: list[list[int]] = []
        for begin, end in sorted(busy):
            begin, end = max(begin, self.start_ms), min(max(end, begin), self.end_ms)
            if merged and begin <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([begin, end])
        least = max(_LEAST_MS, _WORTH * sum(end - begin for begin, end in merged))
        spans: list[tuple[int, int, bool]] = []
        at = self.start_ms
        for begin, end in [*merged, [self.end_ms, self.end_ms]]:
            idle = begin - at
            margin = int(least / 10)
            if idle > least:
                spans += [(at, at + margin, False), (at + margin, begin - margin, True), (begin - margin, end, False)]
            else:
                spans.append((at, end, False))
            at = max(at, end)
        return [span for span in spans if span[1] > span[0]]

    def x(self, at_ms: int) -> float:
        """The place of a moment; what lies outside is put at the edge."""
        at = min(max(at_ms, self.start_ms), self.end_ms)
        stretch = self.stretches[max(0, bisect_right(self._begins, at) - 1)]
        share = (at - stretch.start_ms) / max(1, stretch.end_ms - stretch.start_ms)
        return round(stretch.x + stretch.width * min(1.0, share), 1)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Places with the time since the start in words, none inside collapsed times."""
        open_ms = sum(s.end_ms - s.start_ms for s in self.stretches if not s.collapsed) or 1
        most = max(2, self.width / 110)
        every = next((step for step in _STEPS_MS if open_ms / step <= most), _STEPS_MS[-1])
        last = -1e9
        for stretch in self.stretches:
            if stretch.collapsed:
                continue
            at = -(-(stretch.start_ms - self.start_ms) // every) * every
            while self.start_ms + at < stretch.end_ms:
                x = self.x(self.start_ms + at)
                if x - last >= _TICK:
                    yield x, duration(at) if at else _("start")
                    last = x
                at += every


def busy_times(steps: Sequence[StepView], now_ms: int) -> list[tuple[int, int]]:
    """When something was queued or running."""
    found = [
        (attempt.queued_ms or attempt.started_ms, attempt.finished_ms or now_ms)
        for step in steps
        for attempt in step.attempts
        if attempt.queued_ms or attempt.started_ms
    ]
    edges = [moment for step in steps for moment in (step.started_ms, step.finished_ms) if moment]
    return found + [(moment, moment) for moment in edges]


def _bar(scale: Scale, begin: int, end: int, y: int, css: str, title: str) -> SafeString:
    x = scale.x(begin)
    return format_html(
        '<rect class="{}" x="{}" y="{}" width="{}" height="12" rx="2"><title>{}</title></rect>',
        css,
        x,
        y,
        max(2.0, round(scale.x(end) - x, 1)),
        title,
    )


def _attempt(scale: Scale, attempt: AttemptView, y: int, now_ms: int) -> Iterator[SafeString]:
    end = attempt.finished_ms or now_ms
    claimed = attempt.started_ms or end
    if attempt.queued_ms and claimed > attempt.queued_ms:
        waited = _("attempt %(number)s waited in the queue for %(time)s") % {
            "number": attempt.number,
            "time": duration(claimed - attempt.queued_ms),
        }
        yield _bar(scale, attempt.queued_ms, claimed, y, "queue-time", waited)
    if attempt.started_ms:
        seen = look(attempt.outcome)
        ran = _("attempt %(number)s on %(agent)s: %(state)s, %(time)s") % {
            "number": attempt.number,
            "agent": attempt.agent or _("an agent"),
            "state": seen.words,
            "time": duration(end - claimed),
        }
        yield _bar(scale, claimed, end, y, f"run-time tone-{seen.tone}", ran)


def _step_bars(scale: Scale, step: StepView, y: int, now_ms: int) -> Iterator[SafeString]:
    for before in step.earlier:
        if before.started_ms:
            words = _("%(name)s before the restart: %(state)s") % {
                "name": before.name,
                "state": look(before.state.value).words,
            }
            yield _bar(scale, before.started_ms, before.finished_ms or before.started_ms, y, "past-time", words)
    for attempt in step.attempts:
        yield from _attempt(scale, attempt, y, now_ms)
    if not step.attempts and step.started_ms:
        seen, end = look(step.state.value), step.finished_ms or now_ms
        words = f"{step.name}: {seen.words}, {duration(end - step.started_ms)}"
        yield _bar(scale, step.started_ms, end, y, f"wait-time tone-{seen.tone}", words)


def _fold_bars(scale: Scale, line: Fold, y: int, now_ms: int) -> Iterator[SafeString]:
    if line.begin_ms:
        end = line.end_ms or now_ms
        words = f"{line.name}, {duration(end - line.begin_ms)}"
        yield _bar(scale, line.begin_ms, end, y, f"fold-time tone-{look(line.state.value).tone}", words)


def _lane(scale: Scale, line: Line, row: int, now_ms: int) -> SafeString:
    y = row * LANE
    bars = _fold_bars(scale, line, y + 6, now_ms) if isinstance(line, Fold) else _step_bars(scale, line, y + 6, now_ms)
    return format_html(
        '<g class="lane"><rect class="lane-bg" y="{}" width="{}" height="{}"/>{}</g>',
        y,
        scale.width + EDGE,
        LANE,
        format_html_join("", "{}", ((bar,) for bar in bars)),
    )


def _names(lines: Sequence[Line], href: Callable[[Line], str]) -> SafeString:
    return format_html_join(
        "",
        '<li><a class="tl-name tone-{}{}" href="{}" hx-get="{}" hx-target="#wf-body" hx-swap="innerMorph"'
        ' hx-push-url="true" title="{}">{}</a></li>',
        (
            (
                look(line.state.value).tone,
                " tl-fold" if isinstance(line, Fold) else "",
                href(line),
                href(line),
                _title(line),
                line.name,
            )
            for line in lines
        ),
    )


def _title(line: Line) -> str:
    said = {"name": line.name, "state": look(line.state.value).words}
    if isinstance(line, Fold):
        return _("open: %(name)s, %(state)s") % said
    return _("step %(id)s: %(name)s, %(state)s") % {"id": line.id, **said}


def _idle(ms: int) -> str:
    return _("%(time)s in which nothing was queued or running") % {"time": duration(ms)}


def _axis(scale: Scale) -> SafeString:
    """The words above the lanes, placed by shares of the width, so that paper can squeeze them without bending them."""
    whole = scale.width + EDGE
    ticks = format_html_join(
        "", '<line class="grid" x1="{0}%" x2="{0}%" y1="20" y2="30"/><text class="axis{2}" x="{0}%" dx="3" y="16">{1}'
        "</text>",
        ((_share(x, whole), words, " crowded" if crowded else "") for x, words, crowded in _crowding(scale, whole)),
    )  # fmt: skip
    breaks = format_html_join(
        "", '<text class="axis axis-break" x="{}%" y="16" text-anchor="middle">…<title>{}</title></text>',
        ((_share(s.x + s.width / 2, whole), _idle(s.end_ms - s.start_ms)) for s in scale.stretches if s.collapsed),
    )  # fmt: skip
    return format_html(
        '<svg class="tl-axis-svg" width="{}" height="{}" aria-hidden="true">{}{}</svg>', whole, TOP, ticks, breaks
    )


def _share(x: float, whole: float) -> float:
    return round(100 * x / whole, 3)


def _crowding(scale: Scale, whole: float) -> Iterator[tuple[float, str, bool]]:
    """The ticks, each with whether there is no room for its words on paper."""
    squeezed, last = min(1.0, PAPER / whole), -1e9
    for x, words in scale.ticks():
        crowded = (x - last) * squeezed < _TICK
        last = last if crowded else x
        yield x, words, crowded


def draw(
    lines: Sequence[Line],
    rows: Sequence[JournalRow],
    scale: Scale,
    href: Callable[[Line], str],
    *,
    now_ms: int,
    live: bool,
) -> SafeString:
    """Axis, names and lanes in true size, for a container that scrolls; the edge of a live one is now."""
    height = LANE * len(lines) + 8
    grid = format_html_join(
        "", '<line class="grid" x1="{}" x2="{}" y1="0" y2="{}"/>', ((x, x, height) for x, _ in scale.ticks())
    )
    breaks = format_html_join(
        "", '<rect class="break" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>',
        ((s.x, s.width, height, _idle(s.end_ms - s.start_ms)) for s in scale.stretches if s.collapsed),
    )  # fmt: skip
    lanes = format_html_join("", "{}", ((_lane(scale, line, i, now_ms),) for i, line in enumerate(lines)))
    taken = format_html_join(
        "",
        '<line class="takeover-line" x1="{}" x2="{}" y1="0" y2="{}"><title>{}</title></line>',
        (
            (scale.x(row.at_ms), scale.x(row.at_ms), height, retold(row.summary, "journal"))
            for row in rows
            if row.kind in ("taken_up", "restarted")
        ),
    )
    edge = (
        format_html('<line class="now-line" x1="{0}" x2="{0}" y1="0" y2="{1}"/>', scale.width, height) if live else ""
    )
    return format_html(
        '<div class="tl-axis"><span class="tl-corner"></span>{axis}</div><div class="tl-body"><ol class="tl-names">'
        '{names}</ol><svg class="timeline" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"'
        ' preserveAspectRatio="none" aria-label="{words}"><defs>'
        '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="hatch-bg" width="6" height="6"/><rect class="hatch-line" width="2" height="6"/></pattern></defs>'
        "{breaks}{grid}{lanes}{taken}{edge}</svg></div>",
        axis=_axis(scale),
        names=_names(lines, href),
        width=scale.width + EDGE,
        height=height,
        words=_("Timeline of %(count)s steps over %(time)s")
        % {
            "count": sum(len(line.steps) if isinstance(line, Fold) else 1 for line in lines),
            "time": duration(scale.end_ms - scale.start_ms),
        },
        breaks=breaks,
        grid=grid,
        lanes=lanes,
        taken=taken,
        edge=edge,
    )
