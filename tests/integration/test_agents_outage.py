"""Redis goes away and comes back while agents work: nothing is lost, and nobody is declared dead."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from agents import AgentWorker
from agents.handlers import Handler
from agents.task import Task
from coordination.config import Config
from coordination.connection import Connection
from tests.agent_tasks import Outcome, add, new_type, nothing_left, outcome, process, record, serving, until
from tests.servers import RedisServer

pytestmark = pytest.mark.once


@pytest.fixture
def own(config: Config, own_redis: RedisServer) -> Config:
    """Settings for a server that may be killed."""
    return msgspec.structs.replace(config, redis_url=own_redis.url)


@pytest.fixture
async def connection(own: Config) -> AsyncIterator[Connection]:
    async with await Connection.open(own) as opened:
        yield opened


async def on_disk(connection: Connection, own_redis: RedisServer) -> None:
    """Wait until all that was written is on disk, so that a kill loses nothing that a test has prepared."""
    answer = await connection.call("WAITAOF", 1, 0, 5_000)
    assert answer[0] == 1


async def test_results_are_held_until_the_server_is_back(
    own: Config, own_redis: RedisServer, connection: Connection
) -> None:
    runs: list[str] = []
    go = asyncio.Event()

    async def work(task: Task) -> str:
        runs.append(task.workflow_id)
        await go.wait()
        return "done"

    name = new_type()
    async with serving(AgentWorker(config=own, handlers=[Handler(name, work)])) as worker:
        instance = worker.instance
        workflows = [await add(connection, name) for _ in range(10)]
        await until(lambda: len(runs) == 10)
        await on_disk(connection, own_redis)
        own_redis.kill()
        go.set()
        await until(lambda: worker.ledger.done == 10)  # the handlers end while nobody answers
        await asyncio.sleep(0.5)
        own_redis.start()
        began = time.monotonic()
        for workflow in workflows:
            assert (await _outcome(own, workflow)).value == "done"
        print(f"ten results were in {time.monotonic() - began:.2f} s after the server was back")
        async with await Connection.open(own) as again:
            await until(lambda: nothing_left(again, name))
            assert (await _outcome(own, await add(again, name))).value == "done"
        assert len(runs) == 11  # none ran twice
        assert worker.instance == instance


async def _outcome(config: Config, workflow: str) -> Outcome:
    async with await Connection.open(config) as connection:
        return await outcome(connection, workflow)


async def test_a_server_that_stands_still_makes_nobody_dead(own: Config, own_redis: RedisServer) -> None:
    async with await Connection.open(own) as connection:
        arguments = ("--module", "tests.agent_samples", "--name")
        async with process(own, *arguments, "one") as one, process(own, *arguments, "two"):
            workflow = await add(connection, "sample_slow", 7)
            await until(lambda: _claimed(connection, workflow))
            holder = (await record(connection, workflow))[6]
            before = await connection.call("HKEYS", connection.keys.agent_beats)
            own_redis.send(signal.SIGSTOP)
            await asyncio.sleep(4)  # twice as long as it takes to declare an agent dead
            own_redis.send(signal.SIGCONT)
            assert isinstance((await outcome(connection, workflow, 15)).value, int)
            assert (await record(connection, workflow))[3] == "1"
            assert sorted(await connection.call("HKEYS", connection.keys.agent_beats)) == sorted(before)
            assert holder.startswith("one" if one.pid == (await outcome(connection, workflow)).value else "two")


async def _claimed(connection: Connection, workflow: str) -> bool:
    return (await record(connection, workflow))[2] == "c"


async def test_a_worker_started_without_a_server_waits_for_it(own: Config, own_redis: RedisServer) -> None:
    name = new_type()

    async def work(task: Task) -> str:
        return "done"

    own_redis.stop()
    ready = asyncio.Event()
    worker = AgentWorker(config=own, handlers=[Handler(name, work)], ready=ready.set)
    job = asyncio.create_task(worker.run())
    await asyncio.sleep(0.5)
    assert not ready.is_set()
    assert not job.done()
    own_redis.start()
    await asyncio.wait_for(ready.wait(), 5)
    async with await Connection.open(own) as connection:
        assert (await outcome(connection, await add(connection, name))).value == "done"
    worker.stop()
    await asyncio.wait_for(job, 5)


async def test_a_worker_can_be_stopped_while_there_is_no_server(own: Config, own_redis: RedisServer) -> None:
    async with process(own, "--module", "tests.agent_samples", GANGLION_DRAIN_S="1") as worker:
        own_redis.kill()
        worker.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert await asyncio.wait_for(worker.wait(), 15) == 0
        took_s = time.monotonic() - began
        own_redis.start()
        print(f"SIGTERM without a server: ended after {took_s:.2f} s")
        assert took_s < 5


async def test_an_emptied_server_heals(own: Config, own_redis: RedisServer, connection: Connection) -> None:
    """FLUSHALL on a server of the test's own: queues, groups and registry come back without a restart."""
    async with process(own, "--module", "tests.agent_samples") as worker:
        assert (await outcome(connection, await add(connection, "sample_slow", 0))).value == worker.pid
        for _ in range(3):
            await connection.call("FLUSHALL")
            began = time.monotonic()
            workflow = await add(connection, "sample_slow", 0, group=False)
            assert (await outcome(connection, workflow)).value == worker.pid
            print(f"healed and served {time.monotonic() - began:.2f} s after FLUSHALL")
            await until(lambda: connection.call("HLEN", connection.keys.agents))
