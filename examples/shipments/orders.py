"""The order book: the shipments that updates are matched against.

Five thousand shipments made from a fixed seed. They stand for the table of orders that an
application has; replace ``find`` by a query of it.
"""

from __future__ import annotations

import functools
import random
from datetime import UTC, datetime, timedelta

from examples.shipments import faults
from examples.shipments.arrival import travel_h
from examples.shipments.carriers import CARRIERS
from examples.shipments.places import PLACES, is_on_the_way
from examples.shipments.updates import Match, Shipment, Status, Update

COUNT = 5_000
FIRST_DAY = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)

_FIRST = ("Alder", "Birch", "Cedar", "Elm", "Fern", "Hazel", "Juniper", "Linden", "Maple", "Rowan", "Sorrel", "Willow")
_SECOND = ("Books", "Ceramics", "Clinic", "Cycles", "Foods", "Instruments", "Optics", "Paper", "Textiles", "Tools")


@functools.cache
def book() -> dict[str, Shipment]:
    """Every shipment by its tracking number; the same in every process."""
    rng = random.Random("order book")
    carriers = list(CARRIERS.values())
    shipments = {}
    for number in range(COUNT):
        carrier = carriers[number % len(carriers)]
        served = [place.code for place in PLACES.values() if place.country in carrier.regions]
        origin, destination = rng.sample(served, 2)
        shipped_at = FIRST_DAY + timedelta(minutes=rng.randrange(5 * 24 * 60))
        usual_h = travel_h(carrier.code, origin, destination, Status.PICKED_UP)
        promised_h = max(24.0, usual_h * rng.uniform(1.05, 1.5))
        tracking = f"{carrier.prefix}{rng.randrange(10**6):06d}{number:04d}"
        shipments[tracking] = Shipment(
            tracking=tracking,
            carrier=carrier.code,
            customer=f"{rng.choice(_FIRST)} {rng.choice(_SECOND)}",
            origin=origin,
            destination=destination,
            shipped_at=shipped_at,
            promised_at=shipped_at + timedelta(minutes=round(promised_h * 60)),
        )
    return shipments


def find(tracking: str) -> Shipment | None:
    """The shipment with this tracking number, or None."""
    return book().get(tracking)


def match(update: Update) -> Match:
    """The shipment that an update is about.

    Raises:
        UnknownShipment: The order book has no such tracking number, or another carrier has it.
        ImpossiblePlace: The place is not on the shipment's way.
    """
    where = f"Line {update.line}"
    shipment = find(update.tracking)
    if shipment is None or shipment.carrier != update.carrier:
        raise faults.UnknownShipment(
            f'{where}: the order book has no shipment "{update.tracking}" of this carrier. '
            "Correct the tracking number, or skip the row.",
            details={"carrier": update.carrier},
        )
    if not is_on_the_way(update.place, shipment.origin, shipment.destination):
        raise faults.ImpossiblePlace(
            f'{where}: the shipment "{update.tracking}" cannot be in "{update.place}", '
            f'on its way from "{shipment.origin}" to "{shipment.destination}". Correct the place.',
            details={
                "on the way": [code for code in PLACES if is_on_the_way(code, shipment.origin, shipment.destination)]
            },
        )
    return Match(update=update, shipment=shipment)
