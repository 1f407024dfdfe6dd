"""Workflows of the console itself."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from coordination import DistributedCoordinator


class TestCall(msgspec.Struct):
    """One task to try out."""

    task_type: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
    payload: Any = None
    timeout_s: float = 30.0
    agent: str = ""  # the instance to try, or any


class AgentTestCall(DistributedCoordinator):
    """Runs one task once, so that an operator sees what an agent answers."""

    type_name = "agent_test_call"

    async def run(self, call: TestCall) -> Any:
        """Give back the agent's answer; a failure is escalated like any other."""
        return await self.dispatch_task(
            call.task_type, call.payload, timeout_s=call.timeout_s, max_retries=0, agent=call.agent
        )
