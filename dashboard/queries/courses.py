"""How the measures of the whole system went over a span of time, in a fixed number of points at any length."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db.models import CharField, F, FloatField, Max, Sum
from django.db.models.functions import Cast, NullIf, Substr
from django.utils import timezone
from django.utils.translation import gettext_noop

from dashboard.models import Sample


class Span(NamedTuple):
    """How far back charts look, and what one point of them stands for."""

    name: str
    words: str
    length_s: int
    step_s: int
    cut: int  # how many characters of a moment written as text tell its step
    keep_s: float = 0.0  # how long a process shows what it read; reading two weeks takes up to a second


SPANS = {
    span.name: span
    for span in (
        Span("30m", "30 min", 1_800, 10, 18),
        Span("3h", "3 h", 3 * 3_600, 60, 16),
        Span("24h", "24 h", 24 * 3_600, 600, 15, 60.0),
        Span("14d", gettext_noop("14 days"), 14 * 86_400, 3_600, 13, 300.0),
    )
}
DEFAULT = SPANS["30m"]


@dataclass(frozen=True, slots=True)
class Courses:
    """Equally long columns, oldest first; a step that nobody measured holds nothing."""

    span: Span
    times: list[dt.datetime] = field(default_factory=list)
    finished: list[float | None] = field(default_factory=list)  # workflows a minute
    p50_ms: list[float | None] = field(default_factory=list)  # mean of the medians, by workflows finished
    p95_ms: list[float | None] = field(default_factory=list)  # the worst in the step
    queue_lag: list[float | None] = field(default_factory=list)  # the most in the step
    escalations: list[float | None] = field(default_factory=list)  # the most in the step


class Row(NamedTuple):
    """Some steps together, as the table shows them."""

    at: dt.datetime
    finished: float | None
    p50_ms: float | None
    p95_ms: float | None
    queue_lag: float | None
    escalations: float | None


def span(name: str | None) -> Span:
    """The span of this name, or the shortest."""
    return SPANS.get(name or "", DEFAULT)


_kept: dict[str, tuple[float, Courses]] = {}


def courses(wanted: Span) -> Courses:
    """The measures of a span up to now, at most ``keep_s`` old."""
    read_at, found = _kept.get(wanted.name, (0.0, None))
    if found is None or time.monotonic() - read_at >= wanted.keep_s:
        read_at = time.monotonic()
        found = _read(wanted)
        _kept[wanted.name] = (read_at, found)
    return found


def _read(wanted: Span) -> Courses:
    step = dt.timedelta(seconds=wanted.step_s)
    now = int(timezone.now().timestamp())
    last = dt.datetime.fromtimestamp(now - now % wanted.step_s, dt.UTC)
    times = [last - step * back for back in reversed(range(wanted.length_s // wanted.step_s))]
    # Both databases write a moment as text in the same way, and cutting text is faster than calling back per row.
    moment = Substr(Cast("at", CharField()), 1, wanted.cut)
    weight = Cast(F("finished"), FloatField())
    measured = (
        Sample.objects.filter(at__gte=times[0])
        .annotate(moment=moment)
        .values_list("moment")
        .annotate(
            done=Sum("finished"),
            median=Sum(F("p50_ms") * weight) / NullIf(Sum(weight), 0.0),
            p95=Max("p95_ms"),
            lag=Max("queue_lag"),
            opened=Max("open_escalations"),
        )
        .order_by()
    )
    found = {row[0]: row[1:] for row in measured}
    columns: list[list[float | None]] = [[], [], [], [], []]
    for at in times:
        row = found.get(at.strftime("%Y-%m-%d %H:%M:%S")[: wanted.cut])
        values = (None,) * 5 if row is None else (row[0] * 60 / wanted.step_s, *row[1:])
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    return Courses(wanted, times, *columns)


def table(seen: Courses, rows: int = 12) -> list[Row]:
    """The courses in a few rows, newest first: the mean of rates and medians, the most of everything else."""
    size = max(1, -(-len(seen.times) // rows))
    firsts = range(0, len(seen.times), size)
    return [
        Row(
            seen.times[first],
            _mean(seen.finished[first : first + size]),
            _mean(seen.p50_ms[first : first + size]),
            _most(seen.p95_ms[first : first + size]),
            _most(seen.queue_lag[first : first + size]),
            _most(seen.escalations[first : first + size]),
        )
        for first in reversed(firsts)
    ]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float | None]) -> float | None:
    known = _known(values)
    return sum(known) / len(known) if known else None


def _most(values: Sequence[float | None]) -> float | None:
    return max(_known(values), default=None)
