"""The timeline: a lane for each step, its attempts as bars, queue time hatched, run time solid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from coordination.domain import AttemptView, JournalRow, StepView
from dashboard.wording import duration, look

LANE, LABEL, PLOT, TOP = 24, 196, 900, 26
_STEPS_MS = (
    10,
    20,
    50,
    100,
    200,
    500,
    1000,
    2000,
    5000,
    10_000,
    30_000,
    60_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    21_600_000,
    86_400_000,
)


class _Scale:
    """Moments to places on the time axis."""

    def __init__(self, start_ms: int, end_ms: int) -> None:
        self.start_ms, self.span_ms = start_ms, max(1, end_ms - start_ms)

    def x(self, at_ms: int) -> float:
        share = (at_ms - self.start_ms) / self.span_ms
        return round(LABEL + PLOT * max(0.0, min(1.0, share)), 1)

    def ticks(self) -> Iterator[tuple[float, str]]:
        every = next((step for step in _STEPS_MS if self.span_ms / step <= 9), _STEPS_MS[-1])
        at = 0
        while at <= self.span_ms:
            yield self.x(self.start_ms + at), duration(at) if at else "start"
            at += every


def _bar(scale: _Scale, begin: int, end: int, y: int, css: str, title: str) -> SafeString:
    x = scale.x(begin)
    return format_html(
        '<rect class="{}" x="{}" y="{}" width="{}" height="12" rx="2"><title>{}</title></rect>',
        css,
        x,
        y,
        max(2.0, round(scale.x(end) - x, 1)),
        title,
    )


def _attempt(scale: _Scale, attempt: AttemptView, y: int, now_ms: int) -> Iterator[SafeString]:
    end = attempt.finished_ms or now_ms
    claimed = attempt.started_ms or end
    if attempt.queued_ms and claimed > attempt.queued_ms:
        waited = f"attempt {attempt.number} waited in the queue for {duration(claimed - attempt.queued_ms)}"
        yield _bar(scale, attempt.queued_ms, claimed, y, "queue-time", waited)
    if attempt.started_ms:
        seen = look(attempt.outcome)
        ran = f"attempt {attempt.number} on {attempt.agent or 'an agent'}: {seen.words}, {duration(end - claimed)}"
        yield _bar(scale, claimed, end, y, f"run-time tone-{seen.tone}", ran)


def _lane(scale: _Scale, step: StepView, row: int, now_ms: int) -> SafeString:
    y = TOP + row * LANE
    seen = look(step.state.value)
    bars: list[SafeString] = []
    for attempt in step.attempts:
        bars.extend(_attempt(scale, attempt, y + 6, now_ms))
    if not step.attempts and step.started_ms:
        end = step.finished_ms or now_ms
        words = f"{step.name}: {seen.words}, {duration(end - step.started_ms)}"
        bars.append(_bar(scale, step.started_ms, end, y + 6, f"wait-time tone-{seen.tone}", words))
    name = step.name if len(step.name) <= 22 else f"{step.name[:21]}…"
    return format_html(
        '<g class="lane tone-{}"><rect class="lane-bg" x="0" y="{}" width="{}" height="{}"/>'
        '<circle class="lane-dot" cx="8" cy="{}" r="4"/><text class="lane-name" x="20" y="{}">{}'
        "<title>step {}: {}, {}</title></text>{}</g>",
        seen.tone,
        y,
        LABEL + PLOT + 40,
        LANE,
        y + 12,
        y + 16,
        name,
        step.id,
        step.name,
        seen.words,
        format_html_join("", "{}", ((bar,) for bar in bars)),
    )


def draw(steps: Sequence[StepView], rows: Sequence[JournalRow], start_ms: int, end_ms: int, live: bool) -> SafeString:
    """The timeline as SVG in true size; ``end_ms`` is now while the workflow is open."""
    scale = _Scale(start_ms, end_ms)
    height = TOP + LANE * len(steps) + 8
    width = LABEL + PLOT + 44
    grid = format_html_join(
        "",
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="axis" x="{}" y="14">{}</text>',
        ((x, x, TOP - 6, height - 8, x + 3, words) for x, words in scale.ticks()),
    )
    lanes = format_html_join("", "{}", ((_lane(scale, step, i, end_ms),) for i, step in enumerate(steps)))
    taken = format_html_join(
        "",
        '<line class="takeover-line" x1="{}" x2="{}" y1="{}" y2="{}"><title>{}</title></line>',
        (
            (scale.x(row.at_ms), scale.x(row.at_ms), TOP - 6, height - 8, row.summary)
            for row in rows
            if row.kind == "taken_up"
        ),
    )
    edge = (
        format_html('<line class="now-line" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', LABEL + PLOT, TOP - 6, height - 8)
        if live
        else ""
    )
    return format_html(
        '<svg class="timeline" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="hatch-bg" width="6" height="6"/><rect class="hatch-line" width="2" height="6"/></pattern></defs>'
        "{}{}{}{}</svg>",
        width,
        height,
        width,
        height,
        f"Timeline of {len(steps)} steps over {duration(scale.span_ms)}",
        grid,
        lanes,
        taken,
        edge,
    )
