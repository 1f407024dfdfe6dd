"""Writing to the board and the outbox: many updates in one transaction, each exactly once.

Agents hand over one arrival at a time and wait until it is stored. While one transaction is being
written the next arrivals gather, so that the transactions grow with the load and an idle system
waits for nothing. A repeated task brings the same key and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import close_old_connections, transaction

from examples.shipments import models
from examples.shipments.arrival import notice_text
from examples.shipments.models import LeftOut, Notice, Position, TrackEvent
from examples.shipments.updates import Arrival, Feed, Row, Status

MAX_BATCH = 500

_POSITION_FIELDS = [
    field.attname for field in Position._meta.concrete_fields if not field.primary_key
]  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """An arrival, and the key under which it is stored once."""

    key: str
    workflow_id: str
    arrival: Arrival


def store(entries: list[Entry]) -> None:
    """Store all of these entries, or none; what is stored already stays as it is."""
    newest: dict[str, Entry] = {}
    for entry in entries:
        tracking = entry.arrival.shipment.tracking
        if tracking not in newest or newest[tracking].arrival.update.at <= entry.arrival.update.at:
            newest[tracking] = entry
    with transaction.atomic():
        TrackEvent.objects.bulk_create([_event(entry) for entry in entries], ignore_conflicts=True)
        notices = [notice for entry in entries if (notice := _notice(entry)) is not None]
        Notice.objects.bulk_create(notices, ignore_conflicts=True)
        candidates = [_position(newest[tracking].arrival) for tracking in sorted(newest)]
        # Whoever inserts first creates the row; then the rows are locked, in one order everywhere.
        Position.objects.bulk_create(candidates, ignore_conflicts=True)
        stored = Position.objects.select_for_update().order_by("pk").in_bulk([position.pk for position in candidates])
        newer = [position for position in candidates if stored[position.pk].at < position.at]
        Position.objects.bulk_create(
            newer, update_conflicts=True, unique_fields=["tracking"], update_fields=_POSITION_FIELDS
        )


def _event(entry: Entry) -> TrackEvent:
    update = entry.arrival.update
    return TrackEvent(
        key=entry.key,
        tracking=entry.arrival.shipment.tracking,
        status=update.status,
        place=update.place,
        at=update.at,
        eta=entry.arrival.eta,
        late_min=entry.arrival.late_min,
        weight_kg=update.weight_kg,
        feed=update.feed,
        line=update.line,
        workflow_id=entry.workflow_id,
    )


def _position(arrival: Arrival) -> Position:
    update, shipment = arrival.update, arrival.shipment
    return Position(
        tracking=shipment.tracking,
        carrier=shipment.carrier,
        customer=shipment.customer,
        origin=shipment.origin,
        destination=shipment.destination,
        status=update.status,
        place=update.place,
        at=update.at,
        promised_at=shipment.promised_at,
        eta=arrival.eta,
        late_min=arrival.late_min,
        arrived=update.status is Status.DELIVERED,
        because=arrival.because,
    )


def _notice(entry: Entry) -> Notice | None:
    text = notice_text(entry.arrival)
    shipment = entry.arrival.shipment
    return Notice(key=entry.key, tracking=shipment.tracking, customer=shipment.customer, text=text) if text else None


def list_feed(opened: Feed, name: str) -> None:
    """List a feed on the board, once."""
    with _own_connection():
        models.Feed.objects.get_or_create(
            pk=opened.id,
            defaults={"name": name, "sha256": opened.file.sha256, "size": opened.file.size, "rows": opened.rows},
        )


def list_left_out(key: str, workflow_id: str, row: Row) -> None:
    """List a row as left out, once."""
    with _own_connection():
        LeftOut.objects.get_or_create(
            pk=key, defaults={"feed": row.feed, "line": row.line, "text": row.text, "workflow_id": workflow_id}
        )


@contextmanager
def _own_connection() -> Iterator[None]:
    """Agents' threads live long: a connection that the database has closed is replaced, as for a request."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


class Ledger:
    """Gathers entries and stores them in a thread of its own."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shipments-ledger")

    async def write(self, entry: Entry) -> None:
        """Return when the entry is committed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name="shipments-ledger")
        await done

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            outcomes = await loop.run_in_executor(self._thread, _store_each, [entry for entry, _ in batch])
            for (_, done), error in zip(batch, outcomes, strict=True):
                if done.cancelled():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)


def _store_each(entries: list[Entry]) -> list[Exception | None]:
    """Store the entries together; when that fails one by one, so that a bad one fails alone."""
    try:
        with _own_connection():
            store(entries)
    except Exception as error:
        if len(entries) == 1:
            return [error]
        return [outcome for entry in entries for outcome in _store_each([entry])]
    return [None] * len(entries)
