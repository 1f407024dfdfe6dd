"""The two workflows: one takes a feed in, the other handles one row of it."""

from __future__ import annotations

from coordination import DistributedCoordinator
from coordination.errors import StepFailed
from examples.shipments.updates import Arrival, Batch, BatchOutcome, Feed, Match, Outcome, Row, Slice, Update

DATABASE_RETRIES = 10  # some minutes: a database that restarts is no reason to ask people about every row
BACKLOG_RETRIES = 100  # a full backlog empties by itself


class ShipmentUpdate(DistributedCoordinator):
    """Handles one row of a feed: parse, match, estimate the arrival, notify.

    A row that an agent cannot handle goes to people at the step where it failed. They correct it and
    it goes on from there, or they skip it; then it is listed among the rows left out.
    """

    version = 1
    max_retries, timeout_s = 3, 30.0

    async def run(self, row: Row) -> Outcome:
        """Handle the row, or list it as left out."""
        try:
            outcome = await self._handle(row)
        except StepFailed:
            await self.dispatch_task("leave_out", row, max_retries=DATABASE_RETRIES)
            raise
        if outcome is None:
            await self.dispatch_task("leave_out", row, max_retries=DATABASE_RETRIES)
            return Outcome(left_out=True)
        return outcome

    async def _handle(self, row: Row) -> Outcome | None:
        # A step that a person skips gives None.
        update: Update | None = await self.dispatch_task("parse_update", row)
        if update is None:
            return None
        match: Match | None = await self.dispatch_task("match_shipment", update)
        if match is None:
            return None
        arrival: Arrival | None = await self.dispatch_task("estimate_arrival", match)
        if arrival is None:
            return None
        outcome: Outcome | None = await self.dispatch_task("notify", arrival, max_retries=DATABASE_RETRIES)
        return outcome


class ShipmentBatch(DistributedCoordinator):
    """Takes a feed in: stores it, and starts one ``shipment_update`` for each row, slice by slice.

    The updates are workflows of their own rather than children: the feed's journal stays a few
    entries long however many rows there are, and one bad row holds up nothing.
    """

    version = 1
    max_retries, timeout_s = 3, 60.0

    async def run(self, batch: Batch) -> BatchOutcome:
        """Take the feed in."""
        feed: Feed | None = await self.dispatch_task("open_feed", batch)
        if feed is None:
            return BatchOutcome(started=0)
        at = Slice(feed=feed)
        while at.offset < feed.file.size:
            after: Slice | None = await self.dispatch_task("start_updates", at, max_retries=BACKLOG_RETRIES)
            if after is None:  # a person ended the feed here
                break
            at = after
            await self.progress(f"{at.started:,} of {feed.rows:,} rows started")
        return BatchOutcome(started=at.started)
