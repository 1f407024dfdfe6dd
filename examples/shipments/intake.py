"""Taking a feed in: every way ends in one ``shipment_batch`` workflow."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from coordination import client, files
from coordination.errors import BadRequest
from examples.shipments import feed
from examples.shipments.updates import Batch
from examples.shipments.workflows import ShipmentBatch

Submit = Callable[..., str]


class BadFeed(BadRequest):
    """The feed cannot be taken in."""


def take_file(data: bytes, name: str, submit: Submit | None = None) -> str:
    """Store a feed and start its workflow, whose id is returned.

    Args:
        data: The feed.
        name: What people call it.
        submit: What submits; by default this process's client.

    Raises:
        BadFeed: These bytes cannot be a feed; nothing was started.
        GanglionError: It was not accepted; the message says why and what to do.
    """
    if complaint := feed.complaint(data):
        raise BadFeed(complaint)
    return _submit(Batch(name=name, file=files.put(data, name, "text/csv")), submit)


def take_sample(rows: int, seed: int, submit: Submit | None = None) -> str:
    """Start a workflow that makes a sample feed and takes it in."""
    return _submit(Batch(sample_rows=rows, seed=seed), submit)


def _submit(batch: Batch, submit: Submit | None) -> str:
    feed_id = f"feed-{uuid.uuid4().hex[:12]}"
    return (submit or client.sync().submit)(ShipmentBatch.type_name, batch, workflow_id=feed_id, key=feed_id)
