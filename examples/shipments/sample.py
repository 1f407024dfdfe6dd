"""Sample feeds: the same rows for the same seed, on every machine and Python version.

Each shipment of the order book that a sample uses goes along its lane in time order. A share of the
rows is then spoilt, each by one of ``SPOILS``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from examples.shipments import orders
from examples.shipments.arrival import travel_h
from examples.shipments.carriers import CARRIERS, Carrier, write_row
from examples.shipments.places import PLACES, distance_km, is_on_the_way
from examples.shipments.updates import Shipment, Status, Update

MAX_ROWS = 200_000
_ROWS_A_SHIPMENT = 8


class _Draft(NamedTuple):
    at: datetime
    tracking: str
    update: Update


def feed(rows: int, seed: int = 7, bad_share: float = 0.01) -> bytes:
    """A feed with this many rows, in time order, of which this share is bad."""
    if not 1 <= rows <= MAX_ROWS:
        raise ValueError(f"A sample has 1 to {MAX_ROWS} rows, not {rows}.")
    if not 0 <= bad_share <= 1:
        raise ValueError(f"The share of bad rows lies between 0 and 1, not {bad_share}.")
    rng = random.Random(seed)
    book = list(orders.book().values())
    used = rng.sample(book, min(len(book), max(1, rows // _ROWS_A_SHIPMENT)))
    each = math.ceil(rows / len(used))
    drafts = [draft for shipment in used for draft in _track(shipment, each, rng)]
    drafts = sorted(rng.sample(drafts, rows))
    bad = set(rng.sample(range(rows), round(rows * bad_share)))
    lines = []
    for number, draft in enumerate(drafts):
        if number in bad:
            lines.append(rng.choice(SPOILS)(draft.update, rng))
        else:
            lines.append(_encode(write_row(draft.update), CARRIERS[draft.update.carrier]))
    return b"\n".join(lines) + b"\n"


def _track(shipment: Shipment, events: int, rng: random.Random) -> list[_Draft]:
    """The updates of one shipment: how far it is, where, and what that is called."""
    usual_h = travel_h(shipment.carrier, shipment.origin, shipment.destination, Status.PICKED_UP)
    slow = rng.uniform(1.4, 2.2) if rng.random() < 0.08 else rng.uniform(0.8, 1.1)
    so_far = 1.0 if rng.random() < 0.55 else rng.uniform(0.3, 0.95)
    stops = _stops(shipment)
    weight_kg = round(rng.uniform(0.2, 30.0), 1)
    drafts = []
    for number in range(events):
        share = so_far * number / max(1, events - 1)
        at = shipment.shipped_at + timedelta(minutes=round(share * usual_h * slow * 60) + number)
        update = Update(
            feed="sample",
            line=0,
            carrier=shipment.carrier,
            tracking=shipment.tracking,
            status=_stage(share, slow > 1.3, rng),
            at=at,
            place=stops[min(len(stops) - 1, int(share * len(stops)))],
            weight_kg=weight_kg,
        )
        drafts.append(_Draft(at, shipment.tracking, update))
    return drafts


def _stops(shipment: Shipment) -> list[str]:
    """The places on a shipment's way, from its origin to its destination."""
    carrier = CARRIERS[shipment.carrier]
    straight_km = distance_km(shipment.origin, shipment.destination)
    hubs = [
        place.code
        for place in PLACES.values()
        if place.country in carrier.regions
        and place.code not in (shipment.origin, shipment.destination)
        and distance_km(shipment.origin, place.code) + distance_km(place.code, shipment.destination) < 1.2 * straight_km
    ]
    hubs.sort(key=lambda code: distance_km(shipment.origin, code))
    return [shipment.origin, *hubs, shipment.destination]


def _stage(share: float, slow: bool, rng: random.Random) -> Status:
    if share >= 1.0:
        return Status.DELIVERED
    if share > 0.92:
        return Status.OUT_FOR_DELIVERY
    if share == 0.0:
        return Status.PICKED_UP
    if slow and rng.random() < 0.4:
        return Status.DELAYED
    return rng.choice((Status.IN_TRANSIT, Status.AT_HUB))


def _encode(line: str, carrier: Carrier) -> bytes:
    return line.encode(carrier.encoding)


# --- ways in which a row is spoilt: update, rng -> the line ---------------------------


def _cells(update: Update) -> tuple[Carrier, list[str]]:
    """The carrier, and the row's cells with their quotation marks."""
    carrier = CARRIERS[update.carrier]
    text = write_row(update)
    if '"' in text:  # only places are quoted, and hold the delimiter once
        before, quoted, after = text.split('"')
        return carrier, [*before.split(carrier.delimiter)[:-1], f'"{quoted}"', *after.split(carrier.delimiter)[1:]]
    return carrier, text.split(carrier.delimiter)


def _with(update: Update, column: str, value: str) -> bytes:
    carrier, cells = _cells(update)
    cells[carrier.columns.index(column) + 1] = value
    return _encode(carrier.delimiter.join(cells), carrier)


def _unknown_carrier(update: Update, rng: random.Random) -> bytes:
    carrier, cells = _cells(update)
    return _encode(carrier.delimiter.join([rng.choice(("SWIFTLY", "TRANSVIA", "NORDX")), *cells[1:]]), carrier)


def _bad_date(update: Update, rng: random.Random) -> bytes:
    return _with(update, "at", rng.choice(("31.02.2026 25:99", "yesterday", "0000-00-00")))


def _missing_tracking(update: Update, rng: random.Random) -> bytes:
    return _with(update, "tracking", "")


def _unknown_status(update: Update, rng: random.Random) -> bytes:
    return _with(update, "status", rng.choice(("LOST?", "77", "SEE NOTE")))


def _impossible_place(update: Update, rng: random.Random) -> bytes:
    shipment = orders.book()[update.tracking]
    far = [code for code in PLACES if not is_on_the_way(code, shipment.origin, shipment.destination)]
    # As a code, which every carrier's rows may use: an own spelling may not exist in its encoding.
    return _with(update, "place", rng.choice(far))


def _unknown_shipment(update: Update, rng: random.Random) -> bytes:
    return _with(update, "tracking", f"{CARRIERS[update.carrier].prefix}{rng.randrange(10**6):06d}9999")


def _missing_column(update: Update, rng: random.Random) -> bytes:
    carrier, cells = _cells(update)
    return _encode(carrier.delimiter.join(cells[:-1]), carrier)


def _bad_quoting(update: Update, rng: random.Random) -> bytes:
    carrier, cells = _cells(update)
    return _encode(carrier.delimiter.join([*cells[:-1], '"' + cells[-1]]), carrier)


def _nul(update: Update, rng: random.Random) -> bytes:
    return _with(update, "weight", "\0")


def _not_text(update: Update, rng: random.Random) -> bytes:
    return _with(update, "weight", "@").replace(b"@", b"\x81\xff")  # means nothing in any carrier's encoding


SPOILS: tuple[Callable[[Update, random.Random], bytes], ...] = (
    _unknown_carrier,
    _bad_date,
    _missing_tracking,
    _unknown_status,
    _impossible_place,
    _unknown_shipment,
    _missing_column,
    _bad_quoting,
    _nul,
    _not_text,
)
