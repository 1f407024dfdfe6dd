"""Coordination without a central brain: one coordinator for each workflow, a pool of agents behind Redis Streams."""

from coordination.client import Client, SyncClient
from coordination.coordinator import DistributedCoordinator
from coordination.errors import FinalError, RetryableError

__all__ = ["Client", "DistributedCoordinator", "FinalError", "RetryableError", "SyncClient"]
