"""Submitting workflows and talking to them, from any Python program or Django view."""

from coordination.async_client import Client, WorkflowFailed
from coordination.sync_client import SyncClient, sync

__all__ = ["Client", "SyncClient", "WorkflowFailed", "sync"]
