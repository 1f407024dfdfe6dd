"""The primary dies: hosts, agents and clients follow the Sentinels to its replica, and nothing confirmed is lost."""

from __future__ import annotations

import asyncio
import time

import kombu
import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.core.cache.backends.redis import RedisCache

from config import environment, sentinels
from coordination import DistributedCoordinator
from coordination.client import Client
from coordination.errors import GanglionError, TryAgain
from tests.core_app.agents import calls
from tests.core_harness import until, world
from tests.integration.conftest import Tune
from tests.sentinels import sentinel_group

pytestmark = [pytest.mark.slow, pytest.mark.once]

STEPS = 4
TOTAL = 1 + 300


class FailoverListens(DistributedCoordinator):
    async def run(self) -> object:
        return await self.wait_for_signal("go")


async def test_a_killed_primary_loses_nothing_that_its_replica_confirmed(tune: Tune) -> None:
    import tests.core_app.workflows  # noqa: F401

    with sentinel_group(down_after_ms=500, appendfsync="always") as group:
        config = tune(redis_url=group.url, durability="fsync", durable_replicas=1)
        async with world(config) as core:
            for name in ("one", "two"):
                await core.host(name)
            await core.agents(concurrency=50)
            listening = await core.client.submit("failover_listens")
            confirmed: list[str] = []
            stop = asyncio.Event()
            submitting = [asyncio.create_task(keep_submitting(core.client, confirmed, n, stop)) for n in range(60)]
            await until(lambda: len(confirmed) > 40 and len(calls) > 20)
            before = len(confirmed)
            await asyncio.to_thread(group.servers[0].kill)
            began = time.monotonic()
            await until(lambda: group.primary() is group.servers[1], 15)
            stop.set()
            await asyncio.gather(*submitting)
            assert await insistently(core.client, "core_steps", STEPS, durability="memory", key="after") is not None
            print(f"\nprimary killed to accepted work: {(time.monotonic() - began) * 1000:.0f} ms, {before} before")
            while True:
                try:
                    await core.client.signal(listening, "go", "on", signal_id="1", durability="memory")
                    break
                except TryAgain:
                    await asyncio.sleep(0.05)
            assert await core.client.result(listening, timeout_s=20) == "on"
            for identity in confirmed:
                assert await core.client.result(identity, timeout_s=20) == TOTAL
            await until(lambda: all(host.healthy for host in core.hosts))
        await asyncio.to_thread(cache_and_jobs_follow, group.url)
        await live_pages_follow(group.url)


def cache_and_jobs_follow(url: str) -> None:
    """Django's cache and Celery's transport reach the new primary."""
    cache = RedisCache([url], {"OPTIONS": {"pool_class": "config.sentinels.Pool"}})
    cache.set("one", 1)
    assert cache.get("one") == 1
    with kombu.Connection(environment.broker(url), transport_options=sentinels.broker_options(url)) as broker:
        queue = broker.SimpleQueue("failover")
        queue.put({"job": 1})
        assert queue.get(timeout=5).payload == {"job": 1}
        queue.close()


async def live_pages_follow(url: str) -> None:
    """The channel layer reaches the new primary."""
    layer = RedisPubSubChannelLayer(hosts=[sentinels.channel_host(url)])
    channel = await layer.new_channel()
    await layer.group_add("pages", channel)
    await layer.group_send("pages", {"type": "changed"})
    async with asyncio.timeout(5):
        assert await layer.receive(channel) == {"type": "changed"}
    (shard,) = layer._get_layer()._shards
    asked = shard._redis.connection_pool.sentinel_manager.sentinels
    await layer.flush()
    for sentinel in asked:  # they live as long as the process otherwise
        await sentinel.aclose()


async def keep_submitting(client: Client, confirmed: list[str], number: int, stop: asyncio.Event) -> None:
    """Submit one workflow after the other; those that were acknowledged are kept in mind."""
    count = 0
    while not stop.is_set():
        count += 1
        try:
            confirmed.append(await client.submit("core_steps", STEPS, key=f"{number}-{count}"))
        except TryAgain:
            await asyncio.sleep(0.05)


async def insistently(client: Client, *arguments: object, **options: object) -> str | None:
    """Submit until it is acknowledged."""
    for _ in range(400):
        try:
            return await client.submit(*arguments, **options)  # type: ignore[arg-type]
        except GanglionError:
            await asyncio.sleep(0.05)
    return None
