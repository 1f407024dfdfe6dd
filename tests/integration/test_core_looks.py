"""Due workflows are looked at once, by the host that their shard falls to; another comes when that one does not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Any

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import sweeper
from coordination.connection import Connection
from tests.core_harness import World, until

MANY = 16


@pytest.fixture
async def waiting(core: World) -> list[str]:
    """Workflows that wait for a signal in the memory of two hosts."""
    await core.agents()
    for name in ("one", "two"):
        await core.host(name)
    await until(lambda: all(host.peers for host in core.hosts))
    names = [await core.client.submit("core_open", workflow_id=f"w{number}") for number in range(MANY)]
    await until(lambda: sum(len(host.executions) for host in core.hosts) == MANY)
    return names


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each workflow was looked at; a look takes a while."""
    found, script = Counter[str](), Connection.script

    async def slowly(self: Connection, keys: list[str], arguments: list[Any]) -> Any:
        found[arguments[0]] += 1
        await asyncio.sleep(0.2)
        return await script(self, "look", keys, arguments)

    def counted(self: Connection, name: str, keys: list[str], arguments: list[Any]) -> Awaitable[Any]:
        return slowly(self, keys, arguments) if name == "look" else script(self, name, keys, arguments)

    monkeypatch.setattr(Connection, "script", counted)
    return found


async def make_due(core: World, names: list[str]) -> None:
    keys, now_ms = core.connection.keys, core.hosts[0].now_ms()
    for name in names:
        await core.connection.call("ZADD", keys.deadlines(keys.shard(name)), "XX", now_ms, name)


async def test_each_is_looked_at_by_one_host(
    core: World, waiting: list[str], looks: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "_PEERS_MS", 60_000)

    await make_due(core, waiting)

    await until(lambda: len(looks) == MANY)
    assert set(looks.values()) == {1}


async def test_another_host_looks_when_the_first_does_not(
    core: World, waiting: list[str], looks: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "falls_to", lambda host, shard: False)

    await make_due(core, waiting)
    await until(lambda: len(looks) == MANY)
