"""The board's tables: each update once, whatever its order and however often it comes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from django.db import connections

from examples.shipments import arrival, board, orders
from examples.shipments.ledger import Entry, Ledger, store
from examples.shipments.models import Notice, Position, TrackEvent
from examples.shipments.updates import Match, Shipment, Status, Update


def entry(key: str, shipment: Shipment, status: Status, hours: float) -> Entry:
    update = Update(
        feed="feed-1",
        line=1,
        carrier=shipment.carrier,
        tracking=shipment.tracking,
        status=status,
        at=shipment.shipped_at + timedelta(hours=hours),
        place=shipment.destination if status is Status.DELIVERED else shipment.origin,
        weight_kg=1.0,
    )
    return Entry(key, f"w-{key}", arrival.estimate(Match(update, shipment)))


@pytest.fixture
def shipments() -> list[Shipment]:
    return list(orders.book().values())[:40]


@pytest.mark.django_db
def test_an_older_update_never_moves_a_shipment_back(shipments: list[Shipment]) -> None:
    one = shipments[0]

    store([entry("b", one, Status.DELIVERED, 30)])
    store([entry("a", one, Status.PICKED_UP, 0)])

    assert Position.objects.get(pk=one.tracking).status == Status.DELIVERED
    assert [leg.event.status for leg in board.track(one.tracking)] == [Status.DELIVERED, Status.PICKED_UP]


@pytest.mark.django_db
def test_the_newest_of_a_transaction_wins(shipments: list[Shipment]) -> None:
    one = shipments[0]

    store(
        [entry("c", one, Status.AT_HUB, 20), entry("a", one, Status.PICKED_UP, 0), entry("b", one, Status.DELAYED, 9)]
    )

    assert Position.objects.get().status == Status.AT_HUB


@pytest.mark.django_db
def test_a_repeated_task_changes_nothing(shipments: list[Shipment]) -> None:
    again = [entry("a", shipments[0], Status.DELIVERED, 30)]

    store(again)
    store(again)

    assert (TrackEvent.objects.count(), Position.objects.count(), Notice.objects.count()) == (1, 1, 1)


@pytest.mark.django_db
def test_an_update_that_came_twice_is_one_event_and_one_notice(shipments: list[Shipment]) -> None:
    store([entry("a", shipments[0], Status.DELIVERED, 30)])
    store([entry("b", shipments[0], Status.DELIVERED, 30)])

    [leg] = board.track(shipments[0].tracking)
    assert leg.reported == 2
    assert Notice.objects.count() == 1


@pytest.mark.django_db
def test_the_board_counts_and_puts_the_latest_first(shipments: list[Shipment]) -> None:
    store([entry(one.tracking, one, Status.IN_TRANSIT, number * 5) for number, one in enumerate(shipments)])
    store([entry("x", shipments[-1], Status.DELIVERED, 400)])

    counts = board.counts()
    listed = list(board.shipments(board.BoardFilter()))

    assert counts.total == 40
    assert counts.arrived == 1
    assert counts.late == sum(1 for one in listed if one.late_min > 0 and not one.arrived)
    assert [one.late_min for one in listed[:-1]] == sorted((one.late_min for one in listed[:-1]), reverse=True)
    assert listed[-1].tracking == shipments[-1].tracking
    assert sum(tally.total for tally in counts.by_carrier) == 40


@pytest.mark.django_db
def test_the_board_is_searched_and_narrowed(shipments: list[Shipment]) -> None:
    store([entry(one.tracking, one, Status.IN_TRANSIT, 1) for one in shipments])

    def found(**params: str) -> int:
        return board.shipments(board.BoardFilter.from_params(params)).count()

    assert found(q=shipments[3].tracking.lower()) == 1
    assert found(q=shipments[3].customer[:5]) >= 1
    assert found(carrier="RHEIN") == 8
    assert found(status="delivered") == 0
    assert found(status="no such status", carrier="'; --") == 40


@pytest.mark.django_db(transaction=True)
async def test_many_tasks_share_transactions_and_a_bad_one_fails_alone(shipments: list[Shipment]) -> None:
    ledger = Ledger()
    good = [entry(one.tracking, one, Status.IN_TRANSIT, 1) for one in shipments]
    bad = Entry("bad", "w-bad", None)  # type: ignore[arg-type]

    outcomes = await asyncio.gather(*(ledger.write(one) for one in [*good, bad]), return_exceptions=True)

    assert [isinstance(one, Exception) for one in outcomes] == [False] * 40 + [True]
    assert await asyncio.to_thread(_count) == 40


def _count() -> int:
    try:
        return TrackEvent.objects.count()
    finally:
        connections.close_all()
