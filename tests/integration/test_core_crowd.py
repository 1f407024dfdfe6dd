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


async def test_an_entry_that_comes_before_the_program_was_started_waits_for_it(
    core: World, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    await asyncio.wait_for(asked.wait(), 10)

    host.executions[identity].deliver(None)
    await asyncio.sleep(0.1)  # time for a turn that must not be taken
    go.set()
    await until(lambda: core.held(identity))
    await core.client.signal(identity, "go")

    assert str(await core.client.result(identity, timeout_s=10)).startswith("done")
    assert not await core.journal(identity, j.Escalated)
