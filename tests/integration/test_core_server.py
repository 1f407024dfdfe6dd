"""The server dies, is away, loses its data or stands still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.errors import ServerUnavailable, TryAgain
from tests import servers
from tests.core_app.agents import calls
from tests.core_harness import World, until, world
from tests.core_host import host_process
from tests.integration.conftest import Tune

STEPS = 6
TOTAL = sum(range(STEPS - 2)) + 300


@pytest.fixture
async def own(tune: Tune) -> AsyncIterator[tuple[World, servers.RedisServer]]:
    """A world on a server of the test's own, which answers nothing that a kill could take back.

    With ``everysec`` it may write up to two seconds later than it answers while the disk is busy.
    """
    with servers.redis_server(appendfsync="always") as running:
        async with world(tune(redis_url=running.url)) as made:
            yield made, running


class CoreListens(DistributedCoordinator):
    async def run(self, count: int) -> list[Any]:
        return [await self.wait_for_signal("n") for _ in range(count)]


async def insistently(call: Any) -> Any:
    """Repeat a call until the server answers it, as a client must that has no answer."""
    while True:
        try:
            return await call()
        except TryAgain:
            await asyncio.sleep(0.02)


async def results(core: World, identities: list[str], within_s: float = 40) -> list[Any]:
    return await asyncio.gather(
        *(insistently(lambda i=i: core.client.result(i, timeout_s=within_s)) for i in identities)
    )


async def test_everything_goes_on_after_the_server_was_killed(own: tuple[World, servers.RedisServer]) -> None:
    core, server = own
    await core.agents(concurrency=200)
    await core.host("one")
    await core.host("two")
    await core.connection.call("CONFIG", "SET", "appendfsync", "everysec")  # only the machine's death loses a second
    identities = await asyncio.gather(*(core.client.submit("core_steps", STEPS) for _ in range(80)))
    listeners = [await core.client.submit("core_listens", 3) for _ in range(10)]
    await until(lambda: sum(calls.values()) > 100, 20)
    sending = [
        asyncio.create_task(
            insistently(lambda i=i, n=n: core.client.signal(i, "n", n, signal_id=f"{n}")), name="signals"
        )
        for n in range(3)
        for i in listeners
    ]
    await asyncio.to_thread(server.kill)
    await until(lambda: not all(host.healthy for host in core.hosts))
    await asyncio.to_thread(server.start)
    back = time.monotonic()
    before = sum(calls.values())
    await until(lambda: sum(calls.values()) > before)
    print(f"\nserver back to next step: {(time.monotonic() - back) * 1000:.0f} ms")
    await asyncio.gather(*sending)
    assert await results(core, identities) == [TOTAL] * 80
    for result in await results(core, listeners):
        assert sorted(result) == [0, 1, 2]
    for identity in identities:
        settled = [entry.step for entry in await core.journal(identity, j.Settled)]
        assert len(settled) == len(set(settled)) == STEPS


async def test_the_server_killed_again_and_again(own: tuple[World, servers.RedisServer]) -> None:
    core, server = own
    await core.agents(concurrency=100)
    await core.host()
    accepted: list[str] = []
    stop = asyncio.Event()

    async def submit() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                accepted.append(await core.client.submit("core_steps", STEPS, key=f"k{number}"))
            except TryAgain:
                number -= 1
            await asyncio.sleep(0.01)

    submitting = asyncio.create_task(submit())
    for _ in range(4):
        count = len(accepted)
        await until(lambda count=count: len(accepted) > count + 5)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    stop.set()
    await submitting
    assert await results(core, accepted) == [TOTAL] * len(accepted)


async def test_calls_fail_clearly_while_the_server_is_away(own: tuple[World, servers.RedisServer]) -> None:
    core, server = own
    await core.host()
    await asyncio.to_thread(server.stop)
    with pytest.raises(ServerUnavailable, match="Redis"):
        await core.client.submit("core_steps", STEPS)
    began, before = time.monotonic(), time.process_time()
    await until(lambda: not core.hosts[0].healthy)
    await asyncio.sleep(1.0)  # there is no event for "nothing spins"
    assert time.process_time() - before < 0.7 * (time.monotonic() - began)
    await asyncio.to_thread(server.start)
    await until(lambda: core.hosts[0].healthy)
    await core.agents()
    assert await core.run("core_steps", STEPS) == TOTAL


async def test_a_server_that_evicts_is_refused(tune: Tune) -> None:
    with servers.redis_server(maxmemory="100mb", maxmemory_policy="allkeys-lru") as running:
        config = tune(redis_url=running.url)
        async with host_process(config, "careful", wait=False) as host:
            assert await host.ended() == 2
            assert "allkeys-lru" in host.log and "noeviction" in host.log


async def test_another_number_of_shards_is_refused(core: World, tune: Tune) -> None:
    async with host_process(core.config, "first"):
        pass
    async with host_process(tune(shards=4), "second", wait=False) as host:
        assert await host.ended() == 2
        assert "has 8 shards" in host.log


# --- lost data ----------------------------------------------------------------------


async def test_groups_heal_after_everything_was_flushed(own: tuple[World, servers.RedisServer]) -> None:
    core, _ = own
    host = await core.host()
    await core.agents()
    waiting = [await core.client.submit("core_listens", 1) for _ in range(5)]
    for identity in waiting:
        await core.entry(identity, j.SignalAwaited)
    former = host.id
    began = time.monotonic()
    await core.connection.call("FLUSHALL")
    await until(lambda: host.id != former)
    assert await core.run("core_steps", STEPS, timeout_s=10) == TOTAL
    print(f"\nFLUSHALL to a finished workflow: {(time.monotonic() - began) * 1000:.0f} ms")
    await until(lambda: not host.executions)


@pytest.mark.parametrize("which", ["workflows", "resumes"])
async def test_a_deleted_stream_strands_nothing(own: tuple[World, servers.RedisServer], which: str) -> None:
    core, _ = own
    keys = core.connection.keys
    queued = [await core.client.submit("core_steps", STEPS) for _ in range(16)]
    if which == "workflows":
        for shard in range(keys.shards):
            await core.connection.call("DEL", keys.workflows(shard))
    await core.host()
    await core.agents()
    running = [await core.client.submit("core_steps", STEPS) for _ in range(16)]
    await until(lambda: len(calls) > 8)
    for shard in range(keys.shards):
        await core.connection.call("DEL", keys.workflows(shard) if which == "workflows" else keys.resumes(shard))
    assert await results(core, running, 10) == [TOTAL] * 16
    assert await core.run("core_steps", STEPS, timeout_s=10) == TOTAL
    assert await results(core, queued, 20) == [TOTAL] * 16


# --- a server that stands still ---------------------------------------------------------


async def test_a_stalled_server_makes_nobody_take_over(own: tuple[World, servers.RedisServer]) -> None:
    import signal

    core, server = own
    one, two = await core.host("one"), await core.host("two")
    await core.agents()
    identities = [await core.client.submit("core_steps", STEPS) for _ in range(20)]
    await until(lambda: calls)
    former = (one.id, two.id)
    server.send(signal.SIGSTOP)
    await asyncio.sleep(1.5)  # the fault itself: longer than any suspicion
    server.send(signal.SIGCONT)
    assert await results(core, identities, 20) == [TOTAL] * 20
    assert (one.id, two.id) == former and one.takeovers == two.takeovers == 0
