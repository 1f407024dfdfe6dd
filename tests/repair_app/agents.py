"""Two agents in a row: the second works with what the first gave."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agents import Task, agent
from coordination import FinalError


class Order(msgspec.Struct):
    """What is ordered."""

    item: str
    amount: Annotated[int, msgspec.Meta(ge=1, le=99)] = 1
    note: str = ""


class Parcel(msgspec.Struct):
    """What was packed."""

    label: str
    weight_kg: float


@agent("repair_pack")
async def pack(task: Task, order: Order) -> Parcel:
    """Pack an order; what begins with ``broken`` cannot be packed."""
    if order.item.startswith("broken"):
        raise FinalError(f"{order.item} does not fit into any box")
    return Parcel(f"{order.amount} x {order.item}", order.amount * 1.5)


@agent("repair_ship")
async def ship(task: Task, parcel: Parcel) -> str:
    """Ship a parcel."""
    return f"shipped {parcel.label} ({parcel.weight_kg:g} kg)"
