"""What is acknowledged with fsync is on the disks that were asked for, or the call says that it cannot tell."""

from __future__ import annotations

import asyncio
import signal

import msgspec
import pytest

from coordination import durability
from coordination.client import Client
from coordination.config import Config
from coordination.connection import Connection
from coordination.durability import durable
from coordination.errors import OutcomeUnknown, ServerUnavailable, SettingsError
from tests import servers
from tests.servers import RedisServer


@pytest.fixture
def own(config: Config, own_redis: RedisServer) -> Config:
    """Settings with a server that has WAITAOF, whatever the others run on."""
    return msgspec.structs.replace(config, redis_url=own_redis.url)


async def test_many_share_a_confirmation(own: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await Connection.open(own) as connection:
        exchanges = 0
        exchange = connection.exchange

        async def counted(commands: list[tuple[object, ...]]) -> list[object]:
            nonlocal exchanges
            exchanges += 1
            return await exchange(commands)

        monkeypatch.setattr(connection, "exchange", counted)

        async def one(number: int) -> None:
            async with durable(connection, "fsync"):
                await connection.call("SET", f"{own.prefix}written:{number}", number)
                before = exchanges
            assert exchanges > before  # a marker that was sent after the write

        await asyncio.gather(*(one(number) for number in range(500)))
        assert exchanges < 100
        await one(0)  # and again, when nothing else waits


async def test_one_who_gives_up_leaves_the_others_waiting(own: Config) -> None:
    async with await Connection.open(own) as connection:

        async def one() -> None:
            async with durable(connection, "fsync"):
                await connection.call("SET", f"{own.prefix}written", 1)

        await one()
        first, second = (asyncio.create_task(one()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled()


async def test_a_server_that_starts_anew_in_between_confirms_nothing(own: Config, own_redis: RedisServer) -> None:
    async with await Connection.open(own) as connection:
        with pytest.raises(OutcomeUnknown, match="started anew or replaced"):
            async with durable(connection, "fsync"):
                await connection.call("SET", f"{own.prefix}written", 1)
                await asyncio.to_thread(own_redis.kill)  # a machine that dies here takes the write with it
                await asyncio.to_thread(own_redis.start)
        async with durable(connection, "fsync"):
            await connection.call("SET", f"{own.prefix}written", 2)


async def test_a_server_that_loads_its_data_is_no_wrong_setting(config: Config) -> None:
    with servers.redis_server(key_load_delay="500") as server:  # microseconds
        async with await Connection.open(msgspec.structs.replace(config, redis_url=server.url)) as connection:
            await asyncio.gather(*(connection.call("SET", f"{config.prefix}{n}", n) for n in range(10_000)))
            await asyncio.to_thread(server.kill)
            starting = asyncio.create_task(asyncio.to_thread(server.start))
            refused = []
            while not starting.done():
                try:
                    async with durable(connection, "fsync"):
                        pass
                except ServerUnavailable as error:  # not SettingsError, which nobody tries again
                    refused.append(str(error))
                await asyncio.sleep(0.01)
            await starting
            assert any("loading its data" in words for words in refused)
            async with durable(connection, "fsync"):
                await connection.call("SET", f"{config.prefix}written", 1)


@pytest.mark.once
@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("valkey", {"appendonly": "no"}, "set appendonly yes"),
        ("valkey", {"appendfsync": "no"}, "everysec or always"),
        ("redis", {"appendfsync": "everysec"}, "appendfsync always"),
        ("redis", {"appendfsync": "always"}, ""),
    ],
)
async def test_a_server_that_cannot_is_refused_before_anything_is_written(
    config: Config, kind: str, settings: dict[str, str], words: str
) -> None:
    import tests.core_app.workflows  # noqa: F401

    with servers.redis_server(kind, **settings) as running:
        async with Client.open(msgspec.structs.replace(config, redis_url=running.url)) as client:
            if not words:
                assert await client.submit("core_steps", 2, workflow_id="kept", durability="fsync") == "kept"
                return
            with pytest.raises(SettingsError, match=words):
                await client.submit("core_steps", 2, workflow_id="kept", durability="fsync")
            assert await client.inspect.snapshot("kept") is None
            assert await client.submit("core_steps", 2, durability="memory")


@pytest.mark.once
async def test_replicas_are_counted_before_and_after(
    own: Config, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "_TIMEOUT_MS", 1_500)
    monkeypatch.setattr(durability, "_REPLICAS_S", 0.0)
    own_redis.ask("CONFIG SET repl-diskless-sync-delay 0")
    async with await Connection.open(msgspec.structs.replace(own, durable_replicas=1)) as connection:

        async def write(value: int) -> None:
            async with durable(connection, "fsync"):
                await connection.call("SET", f"{own.prefix}written", value)

        with pytest.raises(ServerUnavailable, match="Nothing was written"):
            await write(1)
        assert await connection.call("GET", f"{own.prefix}written") is None
        with servers.redis_server() as replica:
            replica.ask(f"REPLICAOF 127.0.0.1 {own_redis.port}")
            while b"master_link_status:up" not in (replica.ask("INFO replication") or b""):
                await asyncio.sleep(0.02)
            await write(2)
            assert (replica.ask(f"GET {own.prefix}written") or b"").endswith(b"2\r\n")
            replica.send(signal.SIGSTOP)  # it follows, and confirms nothing
            with pytest.raises(OutcomeUnknown, match="0 of 1 replicas"):
                await write(3)
