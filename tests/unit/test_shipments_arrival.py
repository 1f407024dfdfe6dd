"""The arrival model and the notices that follow from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from examples.shipments import arrival, faults, orders, places
from examples.shipments.updates import Match, Shipment, Status, Update

AT = datetime(2026, 11, 5, 8, 0, tzinfo=UTC)
SHIPMENT = Shipment("RS1", "RHEIN", "Birch Books", "DEHAM", "DEMUC", AT - timedelta(hours=10), AT + timedelta(hours=40))


def update(status: Status, place: str = "DECGN") -> Update:
    return Update("feed", 3, "RHEIN", "RS1", status, AT, place, 2.0)


def test_an_estimate_is_distance_by_pace_and_what_the_status_still_costs() -> None:
    found = arrival.estimate(Match(update(Status.AT_HUB), SHIPMENT))

    hours = places.distance_km("DECGN", "DEMUC") / arrival.PACE_KM_H["RHEIN"] + arrival.STILL_COSTS_H[Status.AT_HUB]
    assert found.eta == AT + timedelta(minutes=round(hours * 60))
    assert found.late_min == round((found.eta - SHIPMENT.promised_at).total_seconds() / 60)
    assert "km to go at 22 km/h" in found.because
    assert "10 h for at hub" in found.because


def test_a_delivered_shipment_arrived_when_the_update_says() -> None:
    found = arrival.estimate(Match(update(Status.DELIVERED, "DEMUC"), SHIPMENT))

    assert found.eta == AT
    assert found.late_min == -40 * 60


def test_a_delay_makes_the_arrival_later() -> None:
    moving = arrival.estimate(Match(update(Status.IN_TRANSIT), SHIPMENT))
    delayed = arrival.estimate(Match(update(Status.DELAYED), SHIPMENT))

    assert delayed.eta > moving.eta


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.DELIVERED, "has been delivered in Munich"),
        (Status.OUT_FOR_DELIVERY, "is out for delivery in Munich"),
        (Status.DELAYED, "is delayed. New arrival: "),
        (Status.IN_TRANSIT, ""),
    ],
)
def test_a_customer_is_told_what_matters_to_him(status: Status, words: str) -> None:
    found = arrival.estimate(Match(update(status), SHIPMENT))

    text = arrival.notice_text(found)

    assert (words in text) if words else text == ""


def test_an_unknown_tracking_number_is_refused_with_its_line() -> None:
    with pytest.raises(faults.UnknownShipment, match=r'^Line 3: .*"RS1"'):
        orders.match(update(Status.AT_HUB))


def test_a_place_off_the_way_is_refused() -> None:
    shipment = next(one for one in orders.book().values() if one.carrier == "RHEIN")
    wrong = Update("feed", 3, "RHEIN", shipment.tracking, Status.AT_HUB, AT, "JPTYO", 2.0)

    with pytest.raises(faults.ImpossiblePlace, match="JPTYO") as raised:
        orders.match(wrong)

    assert shipment.origin in raised.value.details["on the way"]  # type: ignore[operator]


def test_the_order_book_is_the_same_in_every_process() -> None:
    trackings = list(orders.book())

    assert len(trackings) == orders.COUNT
    assert trackings[:2] == ["NX4982070000", "1P3500760001"]
