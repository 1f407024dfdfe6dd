"""Hosts, agents and a client in one loop, on a real server, for tests of the core."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from agents import AgentWorker
from coordination.client import Client
from coordination.config import Config
from coordination.connection import Connection
from coordination.domain import EscalationSnapshot, StepView, WorkflowSnapshot, WorkflowState
from coordination.host import Host
from coordination.journal import Escalated, Numbered, TakenUp
from tests import agent_tasks
from tests.core_app import agents as core_agents

TYPES = ["core_tick", "core_facts", "core_add", "core_flaky", "core_wait", "core_long", "core_undo", "core_shape"]

until = agent_tasks.until


class World:
    """What a test of the core works with.

    Attributes:
        client: An open client.
        hosts: The coordinator hosts in this loop, in the order in which they were started.
    """

    def __init__(self, config: Config, client: Client, stack: contextlib.AsyncExitStack) -> None:
        self.config = config
        self.client = client
        self.connection = client.connection
        self.hosts: list[Host] = []
        self._stack = stack

    async def host(self, name: str = "host") -> Host:
        """Start a host with connections of its own."""
        connection = await self._stack.enter_async_context(await Connection.open(self.config))
        host = Host(connection, name)
        await self._stack.enter_async_context(host.running())
        self.hosts.append(host)
        return host

    async def agents(self, *types: str, **options: Any) -> AgentWorker:
        """Start an agent worker; by default for every type of the test application."""
        worker = AgentWorker(types or TYPES, config=self.config, **options)
        return await self._stack.enter_async_context(agent_tasks.serving(worker))

    async def run(self, workflow_type: str, value: Any = None, **options: Any) -> Any:
        """Submit, wait, and give the result."""
        return await self.client.execute(workflow_type, value, timeout_s=options.pop("timeout_s", 15.0), **options)

    async def state(self, workflow_id: str, state: WorkflowState | str, within_s: float = 10.0) -> WorkflowSnapshot:
        """Wait until a workflow is in a state."""

        async def check() -> WorkflowSnapshot | None:
            snapshot = await self.client.get(workflow_id)
            return snapshot if snapshot.state == state else None

        return await until(check, within_s)  # type: ignore[no-any-return]

    async def journal(self, workflow_id: str, kind: Any = None) -> list[Any]:
        """A workflow's entries, of one kind when asked."""
        found = await self.client.inspect.journal(workflow_id)
        return [item.entry for item in found if kind is None or isinstance(item.entry, kind)]

    async def numbered(self, workflow_id: str) -> list[Numbered]:
        """A workflow's entries with their places."""
        return await self.client.inspect.journal(workflow_id)

    async def entry(
        self, workflow_id: str, kind: Any, count: int = 1, within_s: float = 10.0, where: Callable[[Any], bool] = bool
    ) -> Any:
        """Wait for the n-th entry of a kind and give it."""

        async def check() -> Any:
            found = [entry for entry in await self.journal(workflow_id, kind) if where(entry)]
            return found[count - 1] if len(found) >= count else None

        return await until(check, within_s)

    async def escalation(self, workflow_id: str, count: int = 1, within_s: float = 10.0) -> EscalationSnapshot:
        """Wait for a workflow's n-th escalation and give it."""
        entry = await self.entry(workflow_id, Escalated, count, within_s)
        found = await self.client.inspect.escalation(entry.escalation_id)
        assert found is not None
        return found

    async def decide(self, found: EscalationSnapshot, action: str, value: Any = None, decision_id: str = "d1") -> str:
        """Decide an escalation as the operator anna."""
        return await self.client.commands.decide(
            found.id, version=found.version, action=action, actor="anna", decision_id=decision_id, value=value
        )

    async def hand_over(self, workflow_id: str) -> None:
        """Make a workflow be replayed."""
        count = len(await self.journal(workflow_id, TakenUp))
        holder = next(host for host in self.hosts if workflow_id in host.executions)
        await holder.executions[workflow_id].stop()
        await self.entry(workflow_id, TakenUp, count + 1)

    async def steps(self, workflow_id: str) -> dict[str, StepView]:
        """A workflow's steps by id."""
        return {view.id: view for view in await self.client.inspect.steps(workflow_id)}

    def held(self, workflow_id: str) -> bool:
        """Whether a host has the workflow in memory."""
        return any(workflow_id in host.executions for host in self.hosts)


@contextlib.asynccontextmanager
async def world(config: Config) -> Any:
    """A client on the server, and room for hosts and agents, all ended in reverse order."""
    core_agents.calls.clear()
    for names in (core_agents.started, core_agents.release):
        names.clear()
    core_agents.stopped.clear()
    core_agents.undone.clear()
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client.open(config))
        yield World(config, client, stack)


async def soon(awaitable: Any, within_s: float = 5.0) -> Any:
    """Wait for something that must come in time."""
    return await asyncio.wait_for(awaitable, within_s)
