"""What reaches a workflow while it is still being taken up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import blocked
from coordination import host as host_module
from coordination import journal as j
from coordination.connection import Connection
from coordination.host import Host
from tests.core_harness import World, until


@pytest.fixture
async def waiting(core: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Host, str, asyncio.Event]:
    """A host that has claimed a workflow with a journal, the workflow, and what lets it be started."""
    await core.agents()
    async with await Connection.open(core.config) as connection:
        async with Host(connection, "one").running():
            identity = await core.client.submit("core_open")
            await core.entry(identity, j.SignalAwaited)
    asked, go = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def slowly(self: blocked.Suspects, workflow_id: str) -> AsyncIterator[None]:
        asked.set()
        await go.wait()
        yield

    monkeypatch.setattr(host_module, "previous_stalls", lambda lease: 1)
    monkeypatch.setattr(blocked.Suspects, "marked", slowly)
    host = await core.host("two")
    async with asyncio.timeout(10):
        await asked.wait()
    return host, identity, go


async def finished(core: World, identity: str) -> None:
    await until(lambda: core.held(identity), 15)
    await core.client.signal(identity, "go")
    assert str(await core.client.result(identity, timeout_s=15)).startswith("done")
    assert not await core.journal(identity, j.Escalated)


async def test_an_entry_that_comes_before_the_program_was_started_waits_for_it(
    core: World, waiting: tuple[Host, str, asyncio.Event]
) -> None:
    host, identity, go = waiting

    host.executions[identity].deliver(None)
    await asyncio.sleep(0.1)  # time for a turn that must not be taken
    go.set()

    await finished(core, identity)


async def test_a_workflow_that_is_abandoned_before_its_turn_is_not_started(
    core: World, waiting: tuple[Host, str, asyncio.Event]
) -> None:
    host, identity, go = waiting

    host.executions[identity].abandon()
    go.set()

    await finished(core, identity)
