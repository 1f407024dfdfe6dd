"""A server that answers and refuses: said as errors of ours, accepted work kept, resumed by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import DistributedCoordinator
from coordination.errors import AdmissionRefused, TryAgain, WriteRefused
from tests import servers
from tests.core_app.agents import calls
from tests.core_harness import World, until, world
from tests.integration.conftest import Tune

STEPS = 6
TOTAL = sum(range(STEPS - 2)) + 300
WAYS = {  # the server's word: how it comes to say it, and how it stops, as inline commands
    "OOM": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "READONLY": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    "NOREPLICAS": ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
}


class RefusalsListens(DistributedCoordinator):
    async def run(self) -> object:
        return await self.wait_for_signal("go")


@pytest.fixture
async def own(own_redis: servers.RedisServer, tune: Tune) -> AsyncIterator[tuple[World, servers.RedisServer]]:
    async with world(tune(redis_url=own_redis.url)) as made:
        yield made, own_redis


@pytest.mark.parametrize("reason", WAYS)
async def test_refused_writes_are_said_and_accepted_work_goes_on_later(
    own: tuple[World, servers.RedisServer], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    core, server = own
    host = await core.host()
    await core.agents()
    former = host.id
    listening = await core.client.submit("refusals_listens")
    running = [await core.client.submit("core_steps", STEPS) for _ in range(10)]
    await until(lambda: calls)
    refuse, allow = WAYS[reason]
    await core.client._admit()  # looked at the memory just now: what follows is the server's own refusal
    assert server.ask(refuse) == b"+OK\r\n"
    expected = AdmissionRefused if reason == "OOM" else WriteRefused
    with pytest.raises(expected, match="Redis") as caught:
        await core.client.submit("core_steps", STEPS)
    assert caught.value.retry_after_s > 0
    assert reason == "OOM" or caught.value.reason == reason  # type: ignore[attr-defined]
    with pytest.raises(WriteRefused) as refused:
        await core.client.signal(listening, "go", "early", signal_id="early")
    assert refused.value.reason == reason
    await until(lambda: not host.healthy)
    assert server.ask(allow) == b"+OK\r\n"
    await until(lambda: host.healthy)
    assert host.id == former
    await insistently_signal(core, listening)
    assert await core.client.result(listening, timeout_s=20) == "late"  # the refused one left nothing behind
    assert await asyncio.gather(*(core.client.result(one, timeout_s=20) for one in running)) == [TOTAL] * 10
    assert "Traceback" not in caplog.text


async def insistently_signal(core: World, workflow_id: str) -> None:
    while True:
        try:
            return await core.client.signal(workflow_id, "go", "late", signal_id="late")
        except TryAgain:
            await asyncio.sleep(0.02)
