"""An agent that fails for three causes, each until its name stands in the file ``CAUSES_FIXED``."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from agents import Task, agent
from coordination import FinalError


class Parcel(msgspec.Struct):
    """What is priced."""

    number: int
    currency: str = "EUR"


class Price(msgspec.Struct):
    """What the agent gives."""

    amount: int


CAUSES = (
    "no tariff for zone {number}",
    "the customs service answered 503 to request {number}",
    "parcel {number} has no weight",
)


def is_fixed(cause: int) -> bool:
    """Whether somebody has repaired what a cause stands for."""
    path = Path(os.environ.get("CAUSES_FIXED", ""))
    return path.is_file() and str(cause) in path.read_text().split()


@agent("price_parcel", version="7")
async def price(task: Task, parcel: Parcel) -> Price:
    """Price a parcel, once its cause is repaired."""
    cause = parcel.number % len(CAUSES)
    if not is_fixed(cause):
        raise FinalError(CAUSES[cause].format(number=parcel.number))
    return Price(parcel.number)
