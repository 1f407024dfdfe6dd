"""When a shipment will arrive: a model that an operator can check by hand.

    arrival = time of the update + kilometres to go / carrier's pace + time that its status still costs

Paces are door to door, with nights and handling in them.
"""

from __future__ import annotations

from datetime import timedelta

from examples.shipments.places import PLACES, distance_km
from examples.shipments.updates import Arrival, Match, Status

PACE_KM_H: dict[str, float] = {"NORDEX": 24.0, "PACIFICA": 38.0, "RHEIN": 22.0, "KAIDO": 30.0, "BRITMAIL": 18.0}

STILL_COSTS_H: dict[Status, float] = {
    Status.PICKED_UP: 12.0,
    Status.IN_TRANSIT: 8.0,
    Status.AT_HUB: 10.0,
    Status.DELAYED: 30.0,
    Status.OUT_FOR_DELIVERY: 4.0,
    Status.DELIVERED: 0.0,
}


def travel_h(carrier: str, place: str, destination: str, status: Status) -> float:
    """Hours from a place to the destination, at a carrier's pace and in a status."""
    if status is Status.DELIVERED:
        return 0.0
    return distance_km(place, destination) / PACE_KM_H[carrier] + STILL_COSTS_H[status]


def estimate(match: Match) -> Arrival:
    """Estimate the arrival and say how it came about."""
    update, shipment = match.update, match.shipment
    hours = travel_h(update.carrier, update.place, shipment.destination, update.status)
    eta = update.at + timedelta(minutes=round(hours * 60))
    late_min = round((eta - shipment.promised_at).total_seconds() / 60)
    if update.status is Status.DELIVERED:
        because = "delivered"
    else:
        to_go_km = distance_km(update.place, shipment.destination)
        because = (
            f"{to_go_km:.0f} km to go at {PACE_KM_H[update.carrier]:.0f} km/h door to door, "
            f"and {STILL_COSTS_H[update.status]:.0f} h for {update.status.label}"
        )
    return Arrival(update=update, shipment=shipment, eta=eta, late_min=late_min, because=because)


def notice_text(arrival: Arrival) -> str:
    """What the customer should be told about this update, or "" when there is nothing to tell."""
    update, shipment = arrival.update, arrival.shipment
    to = PLACES[shipment.destination].city
    match update.status:
        case Status.DELIVERED:
            return f"Shipment {shipment.tracking} has been delivered in {to}."
        case Status.OUT_FOR_DELIVERY:
            return f"Shipment {shipment.tracking} is out for delivery in {to}."
        case Status.DELAYED if arrival.late_min > 0:
            return f"Shipment {shipment.tracking} to {to} is delayed. New arrival: {arrival.eta:%d %b %H:%M} UTC."
        case _:
            return ""
