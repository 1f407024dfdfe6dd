"""A network that cuts, swallows replies and goes silent: what was sent may have happened, and happens once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.errors import ServerUnavailable, TryAgain
from coordination.host import Host
from tests import servers
from tests.chaos.proxy import Proxy
from tests.core_app.agents import calls
from tests.core_harness import World, until, world
from tests.integration.conftest import Tune

pytestmark = pytest.mark.once

STEPS = 6
TOTAL = sum(range(STEPS - 2)) + 300


@pytest.fixture
async def wired(tune: Tune) -> AsyncIterator[tuple[World, Proxy, str]]:
    """A world with its own server, and the address of a proxy in front of it."""
    with servers.folder() as folder:
        server = servers.RedisServer(folder / "redis", path=Path(folder) / "s.sock").start()
        proxy = Proxy(Path(folder) / "p.sock", Path(folder) / "s.sock")
        proxy.start()
        try:
            async with world(tune(redis_url=server.url)) as made:
                yield made, proxy, f"unix://{folder}/p.sock"
        finally:
            proxy.stop()
            server.stop()


async def behind(core: World, tune: Tune, url: str) -> Host:
    """A host that reaches the server through the proxy."""
    direct, core.config = core.config, tune(redis_url=url)
    host = await core.host("behind")
    core.config = tune(redis_url=direct.redis_url)
    return host


async def settled_once(core: World, identity: str) -> None:
    settled = [entry.step for entry in await core.journal(identity, j.Settled)]
    assert len(settled) == len(set(settled)) == STEPS


async def test_cut_again_and_again_everything_happens_once(wired: tuple[World, Proxy, str], tune: Tune) -> None:
    core, proxy, url = wired
    await core.agents(concurrency=200)
    await behind(core, tune, url)
    identities = [await core.client.submit("core_steps", STEPS) for _ in range(60)]
    chance = random.Random(7)

    async def cut() -> None:
        while True:
            await asyncio.sleep(chance.uniform(0.02, 0.15))
            proxy.cut()

    cutting = asyncio.create_task(cut())
    await until(lambda: sum(calls.values()) > 150, 30)
    cutting.cancel()
    for identity in identities:
        assert await core.client.result(identity, timeout_s=30) == TOTAL
        await settled_once(core, identity)


async def test_replies_that_never_came_are_not_taken_for_failures(wired: tuple[World, Proxy, str], tune: Tune) -> None:
    core, proxy, url = wired
    await core.agents(concurrency=200)
    await behind(core, tune, url)
    identities = [await core.client.submit("core_steps", STEPS) for _ in range(40)]
    await until(lambda: sum(calls.values()) > 20)
    for _ in range(5):
        proxy.deaf = True  # requests are carried out, their replies are lost
        await asyncio.sleep(0.03)  # the fault itself
        proxy.cut()
        proxy.deaf = False
        await asyncio.sleep(0.1)
    for identity in identities:
        assert await core.client.result(identity, timeout_s=30) == TOTAL
        await settled_once(core, identity)


async def test_a_silent_network_is_noticed_and_survived(wired: tuple[World, Proxy, str], tune: Tune) -> None:
    core, proxy, url = wired
    await core.agents()
    far = await behind(core, tune, url)
    near = await core.host("near")
    identities = [await core.client.submit("core_steps", STEPS) for _ in range(40)]
    await until(lambda: sum(calls.values()) > 20)
    former = far.id
    proxy.silent = True  # half-open: nothing is carried, nothing is closed
    for identity in identities:
        assert await core.client.result(identity, timeout_s=30) == TOTAL
        await settled_once(core, identity)
    assert near.takeovers or not far.takeovers
    proxy.silent = False
    proxy.cut()
    await until(lambda: far.id != former or far.healthy, 20)


async def test_hosts_and_agents_beat_on_new_connections_soon_after_the_old_ones_went_dead(
    wired: tuple[World, Proxy, str], tune: Tune
) -> None:
    core, proxy, url = wired
    await behind(core, tune, url)
    direct, core.config = core.config, tune(redis_url=url, agent_heartbeat_s=0.2)
    await core.agents()
    core.config = direct
    keys = core.connection.keys

    async def beats() -> list[int]:
        found = [await core.connection.call("HVALS", name) for name in (keys.beats, keys.agent_beats)]
        return [int(values[0].partition(b":")[0]) for values in found]

    proxy.half_open(random.Random(1), share=1.0)
    try:
        await until(lambda: proxy.dead)
        before, began = await beats(), time.monotonic()
        while not all(now > then + 2 for now, then in zip(await beats(), before, strict=True)):
            assert time.monotonic() - began < 5, "nothing beats any more"
            await asyncio.sleep(0.1)
    finally:
        proxy.cut()


async def test_a_timer_fires_once_while_the_journal_before_it_cannot_be_read(
    core: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CoreTimed(DistributedCoordinator):
        async def run(self) -> None:
            await self.gather(self.dispatch_task("core_nobody", 1, timeout_s=0.1), self.sleep(0.5))

    async def unread(*_: object) -> list[object]:
        reads.append(1)
        raise ServerUnavailable("The test says so.")

    reads: list[int] = []
    host = await core.host()
    identity = await core.client.submit("core_timed")
    await core.entry(identity, j.TimerSet)
    with monkeypatch.context() as away:
        away.setattr("coordination.execution.read_after", unread)
        away.setattr(host, "deliver", lambda *_: None)
        await core.client.signal(identity, "unheard")  # stands between what the host knows and the timer's end
        await core.entry(identity, j.TimerFired)
        await until(lambda: len(reads) > 5)
    assert len(await core.journal(identity, j.TimerFired)) == 1


class CoreCounted(DistributedCoordinator):
    async def run(self) -> int:
        return int(await self.wait_for_signal("n", returns=int))


async def test_submits_and_signals_repeated_after_lost_replies_count_once(
    wired: tuple[World, Proxy, str], tune: Tune
) -> None:
    from coordination.client import Client

    core, proxy, url = wired
    await core.host()
    async with Client.open(tune(redis_url=url)) as client:
        for number in range(8):
            proxy.deaf = True
            submitting = asyncio.create_task(client.submit("core_counted", key=f"k{number}"))
            await asyncio.sleep(0.02)  # the fault itself
            proxy.cut()
            proxy.deaf = False
            with pytest.raises((TryAgain, ServerUnavailable)):
                await submitting
            identity = await client.submit("core_counted", key=f"k{number}")
            for _ in range(2):
                await client.signal(identity, "n", number, signal_id="only")
            assert await core.client.result(identity, timeout_s=5) == number
            assert len(await core.journal(identity, j.Signalled)) == 1
