"""Feeds over real hosts and agents: each row a workflow, bad rows to people, and nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest
from django.db import connections
from django.db.models import Model

from coordination import files
from coordination.domain import Reason, WorkflowState
from coordination.errors import InvalidPayload
from examples.shipments import agents, board, sample
from examples.shipments.models import Feed, LeftOut, Notice, TrackEvent
from examples.shipments.updates import Batch, Outcome, Row, Status
from examples.shipments.workflows import ShipmentBatch, ShipmentUpdate
from tests.core_harness import World

T = TypeVar("T")

TYPES = ("parse_update", "match_shipment", "estimate_arrival", "notify", "leave_out", "open_feed", "start_updates")
GOOD = "NORDEX;NX4982070000;{status};2026-11-04T09:30:00+01:00;{place};12.4"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
async def shipments(core: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two hosts and one worker."""
    agents._ledger.cache_clear()  # its tasks belong to the event loop of one test
    await core.host("one")
    await core.host("two")
    await core.agents(*TYPES)
    return core


async def in_sql(read: Callable[[], T]) -> T:
    """What a read gives, in a thread that leaves no connection open behind it."""

    def run() -> T:
        try:
            return read()
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


async def count(model: type[Model], **narrow: object) -> int:
    return await in_sql(model._default_manager.filter(**narrow).count)


def row(text: str) -> Row:
    return Row(feed="feed-1", line=12, text=text)


async def run(core: World, text: str) -> str:
    return await core.client.submit(ShipmentUpdate.type_name, row(text))


async def test_a_good_row_reaches_the_board_and_the_outbox(shipments: World) -> None:
    identity = await run(shipments, GOOD.format(status="DELIVERED", place="SESTO"))

    outcome = await shipments.client.result(identity, timeout_s=30, returns=Outcome)

    assert (outcome.tracking, outcome.status, outcome.notified) == ("NX4982070000", Status.DELIVERED, True)
    assert await count(TrackEvent, workflow_id=identity, feed="feed-1", line=12) == 1
    assert await count(Notice, tracking="NX4982070000") == 1


async def test_a_bad_row_goes_to_people_and_goes_on_with_the_corrected_row(shipments: World) -> None:
    identity = await run(shipments, GOOD.format(status="LOST", place="SESTO"))
    found = await shipments.escalation(identity, 1, within_s=30)
    assert (found.reason, found.task_type, found.attempts) == (Reason.FINAL_ERROR, "parse_update", 1)
    assert found.errors[-1].kind == "UnknownStatus"
    assert found.errors[-1].message.startswith('Line 12: the status "LOST"')

    corrected = msgspec.to_builtins(row(GOOD.format(status="PICKED_UP", place="FIHEL")))
    await shipments.decide(found, "edit", corrected, "d1")

    outcome = await shipments.client.result(identity, timeout_s=30, returns=Outcome)
    assert outcome.status is Status.PICKED_UP


async def test_a_place_corrected_at_the_match_reaches_the_later_steps(shipments: World) -> None:
    identity = await run(shipments, GOOD.format(status="TERMINAL", place="JPTYO"))
    found = await shipments.escalation(identity, 1, within_s=30)
    assert (found.task_type, found.errors[-1].kind) == ("match_shipment", "ImpossiblePlace")

    await shipments.decide(found, "edit", {**found.input, "place": "SESTO"}, "d1")
    await shipments.client.result(identity, timeout_s=30)

    assert await count(TrackEvent, workflow_id=identity, place="SESTO") == 1


@pytest.mark.parametrize(("action", "state"), [("skip", WorkflowState.COMPLETED), ("fail", WorkflowState.FAILED)])
async def test_a_row_that_is_given_up_is_listed(shipments: World, action: str, state: WorkflowState) -> None:
    identity = await run(shipments, "SWIFTLY;1;2")
    found = await shipments.escalation(identity, 1, within_s=30)

    await shipments.decide(found, action, None, "d1")

    await shipments.state(identity, state, within_s=30)
    assert await count(LeftOut, feed="feed-1", line=12, text="SWIFTLY;1;2") == 1
    assert await count(TrackEvent) == 0


async def test_every_row_of_a_feed_is_accounted_for(shipments: World) -> None:
    identity = await shipments.client.submit(
        ShipmentBatch.type_name, Batch(sample_rows=700, bad_share=0.02), workflow_id="feed-2"
    )
    done = await shipments.client.result(identity, timeout_s=60)
    assert done.started == 700

    async with asyncio.timeout(60):
        while await count(TrackEvent, feed="feed-2") < 686:
            await asyncio.sleep(0.05)
    feed = await in_sql(lambda: Feed.objects.get(pk="feed-2"))
    assert (feed.rows, feed.name) == (700, "sample of 700 rows, seed 7")
    progress = await in_sql(lambda: board.progress(feed))
    assert (progress.recorded, progress.done) == (686, 686)


async def test_a_feed_that_is_taken_in_twice_starts_nothing_twice(shipments: World) -> None:
    file = files.put(sample.feed(60, bad_share=0), "feed.csv", "text/csv")
    for _ in range(2):
        again = await shipments.client.submit(ShipmentBatch.type_name, Batch("feed", file), workflow_id="feed-3")
        await shipments.client.result(again, timeout_s=30)

    async with asyncio.timeout(30):
        while await count(TrackEvent, feed="feed-3") < 60:
            await asyncio.sleep(0.02)
    assert await count(TrackEvent) == 60


async def test_what_is_no_feed_goes_to_people(shipments: World) -> None:
    identity = await shipments.client.submit(ShipmentBatch.type_name, Batch(sample_rows=0))

    found = await shipments.escalation(identity, 1, within_s=30)

    assert found.errors[-1].message == "A sample has 1 to 200000 rows, not 0."


async def test_an_input_of_the_wrong_shape_is_refused_at_once(shipments: World) -> None:
    with pytest.raises(InvalidPayload, match="line"):
        await shipments.client.submit(ShipmentUpdate.type_name, {"feed": "f", "line": "first", "text": ""})
