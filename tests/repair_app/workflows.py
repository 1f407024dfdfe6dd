"""A workflow whose second step gets the first one's result."""

from __future__ import annotations

from coordination import DistributedCoordinator
from tests.repair_app.agents import Order, Parcel


class RepairOrder(DistributedCoordinator):
    """Pack, then ship."""

    async def run(self, order: Order) -> str:
        """Pack, then ship."""
        parcel = await self.dispatch_task("repair_pack", order, returns=Parcel)
        return await self.dispatch_task("repair_ship", parcel, returns=str)
