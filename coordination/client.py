"""Submitting workflows and talking to them, from any Python program or Django view."""

from __future__ import annotations

from typing import Any

from coordination.domain import WorkflowSnapshot


class Client:
    """Async client. ``SyncClient`` offers the same methods without ``await``."""

    async def submit(
        self,
        workflow_type: str,
        input: Any = None,
        *,
        key: str | None = None,
        workflow_id: str | None = None,
        deadline_s: float | None = None,
        labels: dict[str, str] | None = None,
        durability: str | None = None,
    ) -> str:
        """Accept a workflow exactly once for each key, and return its id."""
        raise NotImplementedError

    async def get(self, workflow_id: str) -> WorkflowSnapshot:
        """Read a workflow."""
        raise NotImplementedError

    async def result(self, workflow_id: str, *, timeout_s: float | None = None, returns: type | None = None) -> Any:
        """Wait for a workflow's end and return its result."""
        raise NotImplementedError

    async def signal(self, workflow_id: str, name: str, payload: Any = None, *, signal_id: str | None = None) -> None:
        """Deliver a signal exactly once for each signal id."""
        raise NotImplementedError

    async def cancel(self, workflow_id: str, *, actor: str = "", reason: str = "") -> None:
        """Ask for a workflow's cancellation."""
        raise NotImplementedError
