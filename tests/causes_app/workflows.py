"""Workflows of one task that fails until it is repaired."""

from __future__ import annotations

from coordination import DistributedCoordinator
from tests.causes_app.agents import Parcel, Price


class PriceParcel(DistributedCoordinator):
    """Prices one parcel."""

    async def run(self, parcel: Parcel) -> Price:
        """Price it."""
        return await self.dispatch_task("price_parcel", parcel, returns=Price)


class WaitForPickup(DistributedCoordinator):
    """Waits until somebody comes."""

    async def run(self, parcel: Parcel) -> str:
        """Wait."""
        return str(await self.wait_for_signal("picked_up", returns=str))
