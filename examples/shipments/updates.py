"""What travels between the steps of a shipment update.

Each step passes on what it was given, so that a value which a person corrected at one step
reaches all later ones.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from coordination.files import FileRef


class Status(StrEnum):
    """What a carrier says about a shipment, in the words of this application."""

    PICKED_UP = "picked_up"
    IN_TRANSIT = "in_transit"
    AT_HUB = "at_hub"
    DELAYED = "delayed"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"

    @property
    def label(self) -> str:
        """The status as people read it."""
        return self.value.replace("_", " ")


class Row(msgspec.Struct, frozen=True):
    """One line of a feed, as the carrier wrote it."""

    feed: Annotated[str, Meta(extra_json_schema={"readOnly": True})]
    line: Annotated[int, Meta(extra_json_schema={"readOnly": True})]  # 1 is the first line of the file
    text: Annotated[str, Meta(title="Row", description="As its carrier writes it.", max_length=4_000)]


class Update(msgspec.Struct, frozen=True):
    """One update in this application's words and units."""

    feed: str
    line: int
    carrier: str
    tracking: str
    status: Status
    at: datetime
    place: Annotated[str, Meta(description="A place's code, such as DEHAM.")]
    weight_kg: Annotated[float, Meta(title="Weight in kg", gt=0)]


class Shipment(msgspec.Struct, frozen=True):
    """One shipment of the order book."""

    tracking: str
    carrier: str
    customer: str
    origin: str
    destination: str
    shipped_at: datetime
    promised_at: datetime


class Match(msgspec.Struct, frozen=True):
    """An update and the shipment that it is about."""

    update: Update
    shipment: Shipment


class Arrival(msgspec.Struct, frozen=True):
    """When a shipment will arrive, and why we think so."""

    update: Update
    shipment: Shipment
    eta: datetime
    late_min: int  # minutes after the promise; below 0: earlier
    because: str


class Outcome(msgspec.Struct, frozen=True):
    """How one row of a feed ended."""

    tracking: str = ""
    status: Status | None = None
    eta: datetime | None = None
    late_min: int = 0
    notified: bool = False  # a notice for the customer is in the outbox
    left_out: bool = False  # a person decided so


class Batch(msgspec.Struct, frozen=True):
    """What a feed is made of: a stored file, pasted text, or a generated sample."""

    name: str = "sample"
    file: FileRef | None = None
    text: str = ""
    sample_rows: int = 0
    seed: int = 7
    bad_share: float = 0.01


class Feed(msgspec.Struct, frozen=True):
    """A feed that is stored and counted."""

    id: str
    file: FileRef
    rows: int


class Slice(msgspec.Struct, frozen=True):
    """Where to go on reading a feed."""

    feed: Feed
    offset: int = 0  # in bytes
    line: int = 0  # lines before the offset
    started: int = 0  # workflows started before


class BatchOutcome(msgspec.Struct, frozen=True):
    """How a feed was taken in."""

    started: int  # workflows
