"""Servers that refuse in each of their words: told as an error of ours, and over when the server is well again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import refusals
from coordination.async_client import Client
from coordination.connection import Connection
from coordination.errors import ServerUnavailable, TryAgain, WorkflowNotFound, WriteRefused
from tests import servers
from tests.core_harness import until
from tests.integration.conftest import Tune

pytestmark = pytest.mark.once

ELSEWHERE = {"OOM", "READONLY", "NOREPLICAS"}  # in test_core_refusals.py
SLOW_MS = 20
KEYS = 60


@pytest.fixture(scope="module")
def server() -> Iterator[servers.RedisServer]:
    """One that shows its words soon, and takes about a second to load its keys."""
    with servers.redis_server(
        appendonly="no",
        busy_reply_threshold="50",
        replica_serve_stale_data="no",
        key_load_delay=str(SLOW_MS * 1000),
        loading_process_events_interval_bytes="1024",
    ) as running:
        yield running


@pytest.fixture
async def client(server: servers.RedisServer, tune: Tune) -> AsyncIterator[Client]:
    async with Client.open(tune(redis_url=server.url)) as opened:
        yield opened


@contextlib.contextmanager
def no_disk(server: servers.RedisServer) -> Iterator[None]:
    """MISCONF: nothing can be saved, because a folder stands where the file should go."""
    blocked = Path(server.folder / "dump.rdb")
    blocked.mkdir()
    assert server.ask('CONFIG SET save "3600 1"') == b"+OK\r\n"
    server.ask("BGSAVE")
    yield
    blocked.rmdir()
    server.ask("BGSAVE")


@contextlib.contextmanager
def no_primary(server: servers.RedisServer) -> Iterator[None]:
    """MASTERDOWN: a replica whose primary is away answers no reads."""
    assert server.ask("REPLICAOF 127.0.0.1 1") == b"+OK\r\n"
    yield
    assert server.ask("REPLICAOF NO ONE") == b"+OK\r\n"


@contextlib.contextmanager
def busy(server: servers.RedisServer) -> Iterator[None]:
    """BUSY: a script of somebody else does not end."""
    with socket.create_connection(("127.0.0.1", server.port)) as other:
        other.sendall(b'EVAL "while true do end" 0\r\n')
        yield
        assert server.ask("SCRIPT KILL") == b"+OK\r\n"


WAYS = {"MISCONF": no_disk, "MASTERDOWN": no_primary, "BUSY": busy}


async def refused(client: Client, reason: str) -> WriteRefused:
    """What the client is told as soon as the server refuses for this reason."""

    async def check() -> WriteRefused | None:
        try:
            await (client.get("none") if reason == "MASTERDOWN" else client.submit("core_steps", 6))
        except WriteRefused as error:
            return error if error.reason == reason else None
        except (ServerUnavailable, WorkflowNotFound):
            pass
        return None

    return await until(check)  # type: ignore[no-any-return]


async def accepted(client: Client) -> bool:
    """Whether new work is taken."""
    try:
        return bool(await client.submit("core_steps", 6))
    except TryAgain:
        return False


@pytest.mark.parametrize("reason", WAYS)
async def test_its_word_is_told_and_new_work_is_taken_once_it_is_well(
    client: Client, server: servers.RedisServer, reason: str
) -> None:
    with WAYS[reason](server):
        error = await refused(client, reason)
        assert "Redis" in str(error) and error.retry_after_s > 0
    await until(lambda: accepted(client))


async def test_a_reader_that_waits_learns_that_its_server_is_a_replica_now(
    client: Client, server: servers.RedisServer
) -> None:
    """UNBLOCKED"""
    reading = asyncio.create_task(client.connection.blocking("BLPOP", "nothing", 10))
    await until(lambda: b"blocked_clients:1" in (server.ask("INFO clients") or b""))
    with no_primary(server), pytest.raises(WriteRefused) as caught:
        await reading
    assert caught.value.reason == "UNBLOCKED"
    await until(lambda: accepted(client))


async def test_a_server_that_loads_its_data_is_waited_for(client: Client, server: servers.RedisServer) -> None:
    """LOADING"""
    for number in range(KEYS):
        server.ask(f"SET filler{number} {'x' * 500}")
    assert server.ask("SAVE") == b"+OK\r\n"
    server.kill()
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    assert "loading" in str(await refused(client, "LOADING"))
    await starting
    await until(lambda: accepted(client))


async def test_a_cluster_that_lacks_a_slot_is_away_until_it_has_it_again(tune: Tune, tmp_path: Path) -> None:
    """CLUSTERDOWN"""
    with servers.cluster(1) as url:
        config = tune(redis_url=url)
        node = servers.RedisServer(tmp_path, port=int(url.rpartition(":")[2]))  # only to ask it
        async with await Connection.open(config) as connection:
            assert await connection.call("SET", "a", 1) == b"OK"
            assert node.ask("CLUSTER DELSLOTS 15495") == b"+OK\r\n"  # where "a" lives

            async def away() -> str:
                try:
                    await connection.call("GET", "a")
                except ServerUnavailable as error:
                    return str(error)
                return ""

            assert "serves no keys" in await until(away)
            assert node.ask("CLUSTER ADDSLOTS 15495") == b"+OK\r\n"

            async def back() -> bool:
                return not await away()

            await until(back)
            assert await connection.call("GET", "a") == b"1"


def test_every_word_has_a_test() -> None:
    assert set(refusals._WORDS) == ELSEWHERE | set(WAYS) | {"UNBLOCKED", "LOADING"}
