"""Bugs 1 to 6 and 23 of reliability.md: what a client must not do with its connections."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.exceptions import ResponseError

from coordination.config import Config
from coordination.connection import Connection
from coordination.durability import durable
from coordination.errors import OutcomeUnknown, TryAgain
from tests import servers
from tests.agent_tasks import until
from tests.chaos.proxy import Proxy
from tests.lua_bench import ENTRY, Bench


class Line:
    """A server of the test's own, a proxy before it, and a connection through each."""

    def __init__(self, proxy: Proxy, direct: Connection, connection: Connection) -> None:
        self.proxy = proxy
        self.direct = direct
        self.connection = connection

    async def clients(self) -> int:
        """Connections that the server has now."""
        return int((await self.direct.call("CLIENT", "LIST")).count(b"\n"))


@pytest.fixture
async def line(config: Config) -> AsyncIterator[Line]:
    with servers.folder() as folder:
        server = servers.RedisServer(folder / "redis", path=Path(folder) / "s.sock").start()
        proxy = Proxy(Path(folder) / "p.sock", Path(folder) / "s.sock")
        proxy.start()
        near = msgspec.structs.replace(config, redis_url=server.url)
        far = msgspec.structs.replace(config, redis_url=f"unix://{folder}/p.sock")
        try:
            async with await Connection.open(near) as direct, await Connection.open(far) as connection:
                yield Line(proxy, direct, connection)
        finally:
            proxy.stop()
            server.stop()


@pytest.fixture
async def bench(config: Config) -> AsyncIterator[Bench]:
    async with await Connection.open(config) as connection:
        yield Bench(connection)


async def test_bug_01_a_call_whose_reply_was_lost_is_not_sent_again(line: Line) -> None:
    key = f"{line.connection.keys.prefix}counter"
    line.proxy.deaf = True
    call: Any = asyncio.ensure_future(line.connection.call("INCR", key))
    await until(lambda: line.direct.call("EXISTS", key))
    line.proxy.cut()
    line.proxy.deaf = False
    with pytest.raises(OutcomeUnknown):
        await call
    assert await line.direct.call("GET", key) == b"1"
    assert await line.connection.call("INCR", key) == 2


async def test_bug_02_a_repeated_script_does_not_take_its_own_success_for_anothers(bench: Bench) -> None:
    identity = await bench.running(seq=1)
    await bench.queue_task(identity, 1)
    claims = [(await bench.claim_task(identity, "a"))[0] for _ in range(10)]
    assert claims == [1] * 10
    assert (await bench.fields(identity))["t:1"].startswith(b"0:1:c:1:")  # and they count as one
    escalation = f"{identity}~1~1"
    assert (await bench.escalate(identity, 1, escalation))[0] == 3
    answers = [await bench.decide(identity, escalation, "d", action="skip") for _ in range(2)]
    assert answers[0][0] == 1 and answers[1][1] == b"skip"
    assert [await bench.park(identity, 1, 4) for _ in range(2)] == [1, 1]
    assert [(await bench.claim(identity, "h1"))[0] for _ in range(2)] == [1, 1]
    assert [(await bench.finish(identity, 3, 6))[0] for _ in range(2)] == [1, 1]


@pytest.mark.once
async def test_bug_03_a_blocked_read_may_last_longer_than_a_socket_timeout(line: Line) -> None:
    stream = f"{line.connection.keys.prefix}stream"
    read: Any = asyncio.ensure_future(
        line.connection.blocking("XREAD", "COUNT", 1, "BLOCK", 8_000, "STREAMS", stream, "$")
    )
    await asyncio.sleep(5.2)  # the case itself: redis-py gives up after 5 s
    assert not read.done()
    await line.direct.call("XADD", stream, "*", "a", "b")
    assert [fields for _, found in await read for _, fields in found] == [[b"a", b"b"]]


async def test_bug_04_a_cancelled_call_leaves_its_reply_to_nobody_else(line: Line) -> None:
    line.proxy.delay_s = 0.002
    chance = random.Random(3)

    async def echo(number: int) -> None:
        call = asyncio.ensure_future(line.connection.call("ECHO", str(number)))
        if chance.random() < 0.5:
            await asyncio.sleep(chance.uniform(0, 0.004))
            call.cancel()
        try:
            assert await call == str(number).encode()
        except asyncio.CancelledError:
            assert call.cancelled()

    for _ in range(3):
        await asyncio.gather(*(echo(number) for number in range(400)))


async def test_bug_04_a_cancelled_blocked_read_leaves_neither_reply_nor_connection(line: Line) -> None:
    stream = f"{line.connection.keys.prefix}stream"
    before = await line.clients()
    for number in range(30):
        read: Any = asyncio.ensure_future(
            line.connection.blocking("XREAD", "COUNT", 1, "BLOCK", 5_000, "STREAMS", stream, "$")
        )
        await asyncio.sleep(0.002 * (number % 3))
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        assert await line.connection.call("ECHO", str(number)) == str(number).encode()
    await until(lambda: _few(line, before + 6))


async def test_bug_04_a_connection_that_comes_when_all_is_sent_takes_no_lane_for_good(config: Config) -> None:
    connection = Connection.of(config)
    first = connection.call("PING")
    await asyncio.sleep(0)  # its lane is being connected
    assert await asyncio.gather(first, connection.call("PING")) == [b"PONG", b"PONG"]
    async with asyncio.timeout(2):
        await connection.close()


async def _few(line: Line, most: int) -> bool:
    return await line.clients() <= most


async def test_bug_05_calls_wait_for_their_turn_and_blocked_readers_take_none_away(line: Line) -> None:
    stream = f"{line.connection.keys.prefix}stream"
    before = await line.clients()
    readers = [
        asyncio.ensure_future(line.connection.blocking("XREAD", "BLOCK", 8_000, "STREAMS", f"{stream}:{number}", "$"))
        for number in range(40)
    ]
    await until(lambda: _blocked(line, 40))
    line.proxy.delay_s = 0.01
    calls = []
    for number in range(2_000):
        calls.append(line.connection.call("ECHO", str(number)))
        if number % 20 == 0:
            await asyncio.sleep(0)  # so that they are not one pipeline
    assert await asyncio.gather(*calls) == [str(number).encode() for number in range(2_000)]
    assert await line.clients() <= before + 40 + 4
    line.proxy.delay_s = 0
    for number in range(40):
        await line.direct.call("XADD", f"{stream}:{number}", "*", "n", number)
    assert [answer[0][1][0][1][1] for answer in await asyncio.gather(*readers)] == [b"%d" % n for n in range(40)]


@pytest.mark.once
@pytest.mark.parametrize("wrong", ["b\udcff", None])
async def test_a_call_that_cannot_be_sent_fails_alone(bench: Bench, wrong: Any) -> None:
    call = bench.connection.call
    answers = await asyncio.gather(call("ECHO", 1), call("ECHO", wrong), call("ECHO", 3), return_exceptions=True)
    assert [answers[0], answers[2]] == [b"1", b"3"]
    assert isinstance(answers[1], UnicodeEncodeError | TypeError)
    with pytest.raises((UnicodeEncodeError, TypeError)):  # and with nobody beside it
        await call("ECHO", wrong)
    assert await call("ECHO", 4) == b"4"


async def _blocked(line: Line, count: int) -> bool:
    return bool(b"blocked_clients:%d\r\n" % count in await line.direct.call("INFO", "clients"))


@pytest.mark.once
async def test_bug_06_a_confirmation_waits_for_the_disk(line: Line) -> None:
    """WAITAOF vouches only for writes of its own connection; without one it returns at once."""
    began = time.monotonic()
    for number in range(5):  # the disk is synced once in 100 ms while somebody waits for it
        async with durable(line.direct, "fsync"):
            await line.direct.call("SET", f"{line.direct.keys.prefix}written", number)
    assert time.monotonic() - began > 0.2


async def test_bug_23_a_script_that_the_server_does_not_know_is_loaded(bench: Bench) -> None:
    identity = await bench.running()
    await bench.connection.call("SCRIPT", "FLUSH")
    assert (await bench.checkpoint(identity, 1, [ENTRY]))[0] == 1
    assert (await bench.checkpoint(identity, 1, [ENTRY]))[0] == 2
    assert len(await bench.entries(identity)) == 2


@pytest.mark.once
async def test_a_script_that_nobody_knows_leaves_no_caller_waiting(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its source is looked for in vain while replies are taken in; those behind it hear of that, and the next go on."""
    call, behind = line.connection.call("EVALSHA", b"0" * 40, 0), line.connection.call("PING")
    for future in (call, behind):
        with pytest.raises(OutcomeUnknown):
            async with asyncio.timeout(5):
                await future
    assert await line.connection.call("PING") == b"PONG"
    assert "a reply cannot be dealt with" in "".join(capsys.readouterr())


@pytest.mark.once
async def test_bug_23_a_server_that_was_demoted_is_left_at_the_next_call(config: Config) -> None:
    """An address that moves to the new primary, as a name or a virtual address does."""
    with servers.folder() as folder:
        first, second = (
            servers.RedisServer(folder / name, port=servers.spare_port(), path=folder / f"{name}.sock").start()
            for name in ("first", "second")
        )
        address = folder / "address.sock"
        address.symlink_to(folder / "first.sock")
        try:
            async with await Connection.open(
                msgspec.structs.replace(config, redis_url=f"unix://{address}")
            ) as connection:
                await connection.call("SET", "before", 1)
                first.ask(f"REPLICAOF 127.0.0.1 {second.port}")
                address.unlink()
                address.symlink_to(folder / "second.sock")
                await until(lambda: _written(connection), 5)
            assert second.ask("GET after") == b"$1\r\n1\r\n"
        finally:
            first.stop()
            second.stop()


async def _written(connection: Connection) -> bool:
    try:
        return bool(await connection.call("SET", "after", 1) == b"OK")
    except (TryAgain, ResponseError):
        return False
