"""Reading the board: counts, pages of shipments, and how far a feed is."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from dashboard import queries
from dashboard.queries import EscalationFilter, EscalationGroup
from examples.shipments import sample
from examples.shipments.carriers import CARRIERS
from examples.shipments.feed import rows as read_rows
from examples.shipments.models import Feed, LeftOut, Position, TrackEvent
from examples.shipments.updates import Status

PAGE_ROWS = 50
LATE = Q(arrived=False, late_min__gt=0)


@dataclass(frozen=True)
class BoardFilter:
    """Which shipments the board shows."""

    text: str = ""
    status: str = ""
    carrier: str = ""
    late: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> BoardFilter:
        """Read a filter from a query string; what does not fit is left out."""
        return cls(
            text=params.get("q", "").strip()[:80],
            status=params["status"] if params.get("status", "") in set(Status) else "",
            carrier=params["carrier"] if params.get("carrier", "") in CARRIERS else "",
            late=params.get("late", "") == "1",
        )

    def query(self, **changes: Any) -> str:
        """The query string that ``from_params`` reads this filter from."""
        now = {
            "q": self.text,
            "status": self.status,
            "carrier": self.carrier,
            "late": "1" if self.late else "",
        } | changes
        return urlencode({name: value for name, value in now.items() if value})


@dataclass(frozen=True)
class Tally:
    """One line of the counts: how many there are, and how many of them are late."""

    key: str
    words: str
    total: int = 0
    late: int = 0


@dataclass(frozen=True)
class Counts:
    """The board in figures."""

    total: int = 0
    late: int = 0
    arrived: int = 0
    by_status: list[Tally] = field(default_factory=list)
    by_carrier: list[Tally] = field(default_factory=list)


def counts() -> Counts:
    """The board in figures, by one query."""
    cells = list(Position.objects.values("status", "carrier").annotate(n=Count("pk"), late=Count("pk", filter=LATE)))
    return Counts(
        total=sum(cell["n"] for cell in cells),
        late=sum(cell["late"] for cell in cells),
        arrived=sum(cell["n"] for cell in cells if cell["status"] == Status.DELIVERED),
        by_status=[_line(cells, "status", status.value, status_words(status)) for status in Status],
        by_carrier=[_line(cells, "carrier", carrier.code, carrier.name) for carrier in CARRIERS.values()],
    )


def status_words(status: Status) -> str:
    """A status as people say it."""
    return _(_STATUS_WORDS[status])


_STATUS_WORDS = {
    Status.PICKED_UP: gettext_noop("Picked up"),
    Status.IN_TRANSIT: gettext_noop("In transit"),
    Status.AT_HUB: gettext_noop("At hub"),
    Status.DELAYED: gettext_noop("Delayed"),
    Status.OUT_FOR_DELIVERY: gettext_noop("Out for delivery"),
    Status.DELIVERED: gettext_noop("Delivered"),
}


def _line(cells: Iterable[Mapping[str, Any]], column: str, key: str, words: str) -> Tally:
    mine = [cell for cell in cells if cell[column] == key]
    return Tally(key, words, sum(cell["n"] for cell in mine), sum(cell["late"] for cell in mine))


def shipments(wanted: BoardFilter) -> QuerySet[Position]:
    """The shipments that match: on their way before delivered ones, the latest first."""
    rows = Position.objects.all()
    if wanted.status:
        rows = rows.filter(status=wanted.status)
    if wanted.carrier:
        rows = rows.filter(carrier=wanted.carrier)
    if wanted.late:
        rows = rows.filter(LATE)
    if wanted.text:
        rows = rows.filter(Q(tracking__istartswith=wanted.text) | Q(customer__icontains=wanted.text))
    return rows.order_by("arrived", "-late_min", "tracking")


def page(wanted: BoardFilter, number: str) -> Page[Position]:
    """One page of the shipments that match; a number that does not fit gives the nearest page."""
    return Paginator(shipments(wanted), PAGE_ROWS).get_page(number)


def exceptions(feed_id: str = "") -> list[EscalationGroup]:
    """What waits for a person, by cause: of one feed, or of all."""
    groups = [
        group
        for workflow_type in ("shipment_batch", "shipment_update")
        for group in queries.escalation_groups(EscalationFilter(workflow_type=workflow_type, text=feed_id))
    ]
    return sorted(groups, key=lambda group: -group.count)


@dataclass(frozen=True)
class FeedProgress:
    """How far a feed is: each of its rows is in one of these."""

    feed: Feed
    recorded: int
    left_out: int
    waiting: int  # for a person

    @property
    def under_way(self) -> int:
        """Rows that are with the agents, or not started yet."""
        return max(0, self.feed.rows - self.recorded - self.left_out - self.waiting)

    @property
    def done(self) -> int:
        """Rows that are dealt with."""
        return min(self.feed.rows, self.recorded + self.left_out)


def progress(feed: Feed) -> FeedProgress:
    """How far a feed is."""
    return FeedProgress(
        feed=feed,
        recorded=TrackEvent.objects.filter(feed=feed.pk).count(),
        left_out=LeftOut.objects.filter(feed=feed.pk).count(),
        waiting=queries.escalations(
            EscalationFilter(workflow_type="shipment_update", text=f"{feed.pk}-"), limit=1
        ).total,
    )


def left_out(feed_id: str, limit: int = 100) -> list[LeftOut]:
    """The rows of a feed that people decided to leave out, in the order of the file."""
    return list(LeftOut.objects.filter(feed=feed_id).order_by("line")[:limit])


def recent_feeds(limit: int = 5) -> list[FeedProgress]:
    """The feeds that were taken in last."""
    return [progress(feed) for feed in Feed.objects.all()[:limit]]


@dataclass(frozen=True)
class Leg:
    """One event of a shipment's track, and how often it was reported."""

    event: TrackEvent
    reported: int


def track(tracking: str) -> list[Leg]:
    """What happened to a shipment, the newest first; an update that came twice is one event."""
    legs: dict[tuple[Any, ...], Leg] = {}
    for event in TrackEvent.objects.filter(tracking=tracking).order_by("-at", "key"):
        key = (event.at, event.status, event.place)
        known = legs.get(key)
        legs[key] = Leg(event, known.reported + 1 if known else 1)
    return list(legs.values())


def as_json(position: Position) -> dict[str, Any]:
    """A shipment for download."""
    return {
        "tracking": position.tracking,
        "carrier": position.carrier,
        "customer": position.customer,
        "origin": position.origin,
        "destination": position.destination,
        "status": position.status,
        "place": position.place,
        "at": position.at,
        "promised_at": position.promised_at,
        "eta": position.eta,
        "late_min": position.late_min,
        "because": position.because,
    }


def track_as_json(tracking: str) -> Iterator[dict[str, Any]]:
    """A shipment's events for download, the newest first."""
    for leg in track(tracking):
        event = leg.event
        yield {
            "at": event.at,
            "status": event.status,
            "place": event.place,
            "eta": event.eta,
            "late_min": event.late_min,
            "weight_kg": event.weight_kg,
            "feed": event.feed,
            "line": event.line,
            "workflow_id": event.workflow_id,
            "reported": leg.reported,
        }


@functools.cache
def format_examples() -> list[tuple[str, str]]:
    """Each carrier's name and a row as it writes it."""
    rows = [row.text for row in read_rows(sample.feed(400, bad_share=0), "example")]
    return [(carrier.name, next(row for row in rows if row.startswith(carrier.code))) for carrier in CARRIERS.values()]
