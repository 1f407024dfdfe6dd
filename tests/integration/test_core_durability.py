"""Many who wait for the disk share one confirmation, and none is confirmed by a marker before its own write."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from coordination.config import Config
from coordination.connection import Connection
from coordination.durability import confirm_durable
from tests.servers import RedisServer


@pytest.fixture
def durable(config: Config, own_redis: RedisServer) -> Config:
    """Settings with a server that has WAITAOF, whatever the others run on."""
    return msgspec.structs.replace(config, redis_url=own_redis.url)


async def test_many_share_a_confirmation(durable: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await Connection.open(durable) as connection:
        exchanges = 0
        exchange = connection.exchange

        async def counted(commands: list[tuple[object, ...]]) -> list[object]:
            nonlocal exchanges
            exchanges += 1
            return await exchange(commands)

        monkeypatch.setattr(connection, "exchange", counted)

        async def one(number: int) -> None:
            await connection.call("SET", f"{durable.prefix}written:{number}", number)
            before = exchanges
            await confirm_durable(connection)
            assert exchanges > before  # a marker that was sent after the write

        await asyncio.gather(*(one(number) for number in range(500)))
        assert exchanges < 100
        await one(0)  # and again, when nothing else waits


async def test_one_who_gives_up_leaves_the_others_waiting(durable: Config) -> None:
    async with await Connection.open(durable) as connection:
        first, second = (asyncio.create_task(confirm_durable(connection)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled()
