"""The agents of both workflows. Each does one thing and may be run anywhere, any number of times."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from agents import Task, agent
from coordination import Client, files
from coordination.errors import AdmissionRefused, RetryableError
from examples.shipments import arrival, carriers, faults, feed, orders, sample
from examples.shipments.updates import Arrival, Batch, Feed, Match, Outcome, Row, Slice, Update
from examples.shipments.workflows import ShipmentUpdate

if TYPE_CHECKING:
    from examples.shipments.ledger import Ledger

SLICE_ROWS = 500  # started by one task
TOGETHER = 100  # submitted at the same time


@agent("parse_update")
async def parse_update(task: Task, row: Row) -> Update:
    """Reads a row in its carrier's format."""
    return carriers.parse_row(row)


@agent("match_shipment")
async def match_shipment(task: Task, update: Update) -> Match:
    """Finds the shipment that an update is about."""
    return orders.match(update)


@agent("estimate_arrival")
async def estimate_arrival(task: Task, match: Match) -> Arrival:
    """Says when the shipment will arrive, and why."""
    return arrival.estimate(match)


@agent("notify")
async def notify(task: Task, arrived: Arrival) -> Outcome:
    """Puts the update on the board, and a notice for the customer into the outbox, once."""
    from examples.shipments.ledger import Entry

    await _ledger().write(Entry(key=task.idempotency_key, workflow_id=task.workflow_id, arrival=arrived))
    return Outcome(
        tracking=arrived.shipment.tracking,
        status=arrived.update.status,
        eta=arrived.eta,
        late_min=arrived.late_min,
        notified=bool(arrival.notice_text(arrived)),
    )


@agent("leave_out")
def leave_out(task: Task, row: Row) -> None:
    """Lists a row that a person decided to leave out, once."""
    from examples.shipments.ledger import list_left_out

    list_left_out(task.idempotency_key, task.workflow_id, row)


@agent("open_feed", timeout_s=60)
def open_feed(task: Task, batch: Batch) -> Feed:
    """Stores a feed as a file, counts its rows and lists it on the board."""
    from examples.shipments.ledger import list_feed

    data, name = _content(batch)
    if complaint := feed.complaint(data):
        raise faults.BadFeed(complaint)
    file = batch.file or files.put(data, f"{name}.csv", "text/csv")
    rows = feed.count(data)
    opened = Feed(id=task.workflow_id, file=file, rows=rows)
    list_feed(opened, name)
    return opened


@agent("start_updates", timeout_s=60)
async def start_updates(task: Task, at: Slice) -> Slice:
    """Starts the updates of the next slice of a feed; a row that is started already stays as it is."""
    data = await asyncio.to_thread(files.read, at.feed.file)
    offset, line = at.offset, at.line
    rows: list[Row] = []
    for row, end in feed.rows_with_ends(data, at.feed.id, at.offset, at.line):
        rows.append(row)
        offset, line = end, row.line
        if len(rows) == SLICE_ROWS:
            break
    else:
        offset = len(data)
    try:
        async with Client.open() as client:
            for start in range(0, len(rows), TOGETHER):
                await asyncio.gather(*(_submit(client, row) for row in rows[start : start + TOGETHER]))
                await task.progress((start + TOGETHER) / SLICE_ROWS, f"line {line:,}")
    except AdmissionRefused as refusal:
        raise RetryableError(str(refusal), retry_after_s=refusal.retry_after_s) from refusal
    return Slice(feed=at.feed, offset=offset, line=line, started=at.started + len(rows))


async def _submit(client: Client, row: Row) -> None:
    workflow_id = f"{row.feed}-{row.line:06d}"
    labels = {"feed": row.feed}
    await client.submit(ShipmentUpdate.type_name, row, workflow_id=workflow_id, key=workflow_id, labels=labels)


def _content(batch: Batch) -> tuple[bytes, str]:
    """The bytes of a feed, and what to call it."""
    if batch.file is not None:
        return files.read(batch.file), batch.name
    if batch.text:
        return batch.text.encode(), batch.name
    try:
        data = sample.feed(batch.sample_rows, batch.seed, batch.bad_share)
    except ValueError as error:
        raise faults.BadFeed(str(error)) from error
    return data, f"sample of {batch.sample_rows:,} rows, seed {batch.seed}"


@functools.cache
def _ledger() -> Ledger:
    from examples.shipments.ledger import Ledger

    return Ledger()
