"""What operators want of the pool, and what is left behind in queues of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents import AgentWorker
from agents.handlers import Handler
from agents.reclaim import Reclaimer
from agents.routing import Router
from agents.task import Task
from coordination import DistributedCoordinator, pool
from coordination.config import Config
from coordination.connection import Connection
from coordination.errors import BadRequest
from coordination.registry import Registry, read_agents, read_paused
from tests.agent_tasks import add, beaten, new_type, nothing_left, outcome, process, serving, until
from tests.core_app import agents as tasks
from tests.core_harness import World


@pytest.fixture
async def connection(config: Config) -> AsyncIterator[Connection]:
    async with await Connection.open(config) as opened:
        yield opened


def a_worker(config: Config, task_type: str, name: str, runs: list[str], **capabilities: list[str]) -> AgentWorker:
    """A worker that notes its name with each task."""

    async def run(task: Task, value: Any) -> str:
        runs.append(name)
        if value == "wait":
            await asyncio.sleep(60)
        return name

    return AgentWorker(config=config, name=name, handlers=[Handler(task_type, run, capabilities=capabilities)])


async def test_a_paused_type_keeps_its_backlog_and_resumes(config: Config, connection: Connection) -> None:
    task_type, other, runs = new_type(), new_type(), list[str]()
    first, second = a_worker(config, task_type, "a", runs), a_worker(config, other, "b", runs)
    async with serving(first), serving(second):
        await outcome(connection, await add(connection, task_type))
        await pool.pause_type(connection, task_type, "ann", "prices are wrong")
        await beaten(connection, first)
        held = [await add(connection, task_type) for _ in range(5)]
        assert (await outcome(connection, await add(connection, other))).value == "b"
        await beaten(connection, first)
        assert runs == ["a", "b"]
        queue = connection.keys.agent_queue(task_type)
        assert (await connection.call("XPENDING", queue, "agents"))[0] == 0
        noted = (await read_paused(connection))[task_type]
        assert (noted["actor"], noted["reason"]) == ("ann", "prices are wrong")
        assert await pool.resume_type(connection, task_type)
        for workflow in held:
            assert (await outcome(connection, workflow, 3)).value == "a"


async def test_a_draining_instance_takes_nothing_and_its_own_queue_goes_to_others(
    config: Config, connection: Connection
) -> None:
    task_type, runs = new_type(), list[str]()
    first, second = a_worker(config, task_type, "a", runs), a_worker(config, task_type, "b", runs)
    async with serving(first):
        running = await add(connection, task_type, "wait")
        await until(lambda: runs)
        await pool.drain_agent(connection, first.instance, "ann")
        await until(lambda: _health(connection, first.instance, "draining"))
        await beaten(connection, first)
        addressed = await add(connection, task_type, queue=connection.keys.instance_queue(task_type, first.instance))
        shared = await add(connection, task_type)
        async with serving(second):
            assert (await outcome(connection, addressed)).value == "b"
            assert (await outcome(connection, shared)).value == "b"
            for _ in range(20):
                assert (await outcome(connection, await add(connection, task_type))).value == "b"
        assert first.ledger.running  # what it had goes on
        assert await pool.undrain_agent(connection, first.instance)
        assert (await outcome(connection, await add(connection, task_type), 3)).value == "a"
        await _withdraw(connection, running)


async def _withdraw(connection: Connection, workflow: str) -> None:
    await connection.call("HSET", connection.keys.workflow(workflow), "t:0", "0:1:x:1:1:1:nobody")


async def _health(connection: Connection, instance: str, word: str) -> bool:
    return any(view.id == instance and view.health == word for view in await read_agents(connection))


async def test_draining_an_unknown_instance_is_refused(connection: Connection) -> None:
    with pytest.raises(BadRequest, match="it may have stopped"):
        await pool.drain_agent(connection, "nobody-1")


async def test_the_queue_of_a_killed_instance_is_re_routed(config: Config, connection: Connection) -> None:
    async with process(config, "--module", "tests.agent_samples", "--name", "dies", "--concurrency", "1") as dies:
        (view,) = await read_agents(connection)
        queue = connection.keys.instance_queue("sample_slow", view.id)
        running = await add(connection, "sample_slow", 30, queue=queue)
        waiting = [await add(connection, "sample_slow", 0, queue=queue) for _ in range(5)]
        await until(lambda: _pending(connection, queue))
        async with process(config, "--module", "tests.agent_samples", "--name", "lives") as lives:
            dies.kill()
            for workflow in waiting:
                assert (await outcome(connection, workflow)).value == lives.pid
            late = await add(connection, "sample_slow", 0, queue=queue)  # addressed by who has not heard of it yet
            assert (await outcome(connection, late, 8)).value == lives.pid
            await until(lambda: _claimed_again(connection, running))


async def _pending(connection: Connection, queue: str) -> bool:
    return bool((await connection.call("XPENDING", queue, "agents"))[0])


async def _claimed_again(connection: Connection, workflow: str) -> bool:
    found = await connection.call("HGET", connection.keys.workflow(workflow), "t:0")
    return b":lives-" in found


async def test_a_task_goes_to_whom_it_requires(config: Config, connection: Connection) -> None:
    task_type, runs = new_type(), list[str]()
    english = a_worker(config, task_type, "english", runs, language=["en"])
    german = a_worker(config, task_type, "german", runs, language=["de"])
    async with serving(english), serving(german):
        await beaten(connection, english)  # has looked at the registry since the other came
        for _ in range(12):
            workflow = await add(connection, task_type, requires={"language": "de"})
            assert (await outcome(connection, workflow)).value == "german"
        workflow = await add(
            connection, task_type, requires={"language": "en"},
            queue=connection.keys.instance_queue(task_type, german.instance),
        )  # fmt: skip
        assert (await outcome(connection, workflow)).value == "english"
        await until(lambda: nothing_left(connection, task_type))


async def test_what_nobody_can_do_waits_for_one_who_can(config: Config, connection: Connection) -> None:
    task_type, runs = new_type(), list[str]()
    async with serving(a_worker(config, task_type, "english", runs, language=["en"])):
        workflow = await add(connection, task_type, requires={"language": "fr"})
        await until(lambda: connection.call("XLEN", connection.keys.unrouted(task_type)))
        assert (await outcome(connection, await add(connection, task_type))).value == "english"
        async with serving(a_worker(config, task_type, "french", runs, language=["*"])):
            assert (await outcome(connection, workflow)).value == "french"
    assert not await connection.call("XLEN", connection.keys.unrouted(task_type))


async def test_what_nobody_waits_for_any_more_does_not_stay(
    config: Config, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.reclaim.SWEEP_S", 0.2)
    task_type, runs = new_type(), list[str]()
    queue = connection.keys.unrouted(task_type)
    async with serving(a_worker(config, task_type, "english", runs, language=["en"])):
        decided = await add(connection, task_type, requires={"language": "fr"})
        ended = await add(connection, task_type, requires={"language": "fr"})
        waits = await add(connection, task_type, requires={"language": "fr"})
        await until(lambda: _length(connection, queue, 3))
        await connection.call("HSET", connection.keys.workflow(decided), "t:0", "0:1:x:0:0:0:")
        await connection.call("HSET", connection.keys.workflow(ended), "state", "cancelled")
        await until(lambda: _length(connection, queue, 1))
        ((_, fields),) = await connection.call("XRANGE", queue, "-", "+")
        assert connection.keys.workflow(waits).encode() in fields
    assert runs == []


async def _length(connection: Connection, queue: str, length: int) -> bool:
    return bool(await connection.call("XLEN", queue) == length)


async def test_one_who_was_buried_meanwhile_ends_no_round(config: Config, connection: Connection) -> None:
    worker = a_worker(config, new_type(), "a", [])
    registry = Registry(connection)
    router = Router(connection.keys, registry, {})
    reclaimer = Reclaimer(connection, worker.ledger, registry, router, worker.handlers, lambda: False)
    await reclaimer._bury("buried-by-another")


async def test_what_an_instance_left_behind_is_removed(config: Config, connection: Connection) -> None:
    task_type, runs = new_type(), list[str]()
    async with serving(a_worker(config, task_type, "stays", runs)) as stays:
        async with serving(a_worker(config, task_type, "leaves", runs)) as leaves:
            gone = leaves.instance
        keys = connection.keys
        fields = await connection.call("HKEYS", keys.orphans)
        assert fields == [f"{gone}|{task_type}".encode()]
        await connection.call("HSET", keys.orphans, fields[0], "1")  # as if it had left long ago
        await until(lambda: _is_empty(connection), 15)
        assert not await connection.call("EXISTS", keys.instance_queue(task_type, gone))
        consumers = await connection.call("XINFO", "CONSUMERS", keys.agent_queue(task_type), "agents")
        assert gone.encode() not in [consumer[1] for consumer in consumers]
        assert (await outcome(connection, await add(connection, task_type))).value == "stays"
        assert stays.ledger.running == {}


async def _is_empty(connection: Connection) -> bool:
    return not await connection.call("HLEN", connection.keys.orphans)


async def test_a_resumed_type_gets_its_slots_back_one_after_the_other(core: World) -> None:
    await core.host()
    worker = await core.agents("core_wait", concurrency=8)
    await core.client.commands.pause_type("core_wait", "anna")
    names = [f"ramp{number}" for number in range(8)]

    async def told() -> bool:
        return (await core.client.inspect.queues())[0].paused and worker.ledger.ramps == {}

    await until(told)
    await asyncio.sleep(0.7)  # a heartbeat of the worker
    for name in names:
        await core.client.submit("pool_one", name)
    with pytest.raises(BadRequest, match="Slots can come back"):
        await core.client.commands.resume_type("core_wait", "anna", ramp_s=-1)
    await core.client.commands.resume_type("core_wait", "anna", ramp_s=8)

    async def begun() -> int:
        return len(worker.ledger.running)

    await until(begun)
    assert len(worker.ledger.running) <= 3
    [queue] = await core.client.inspect.queues()
    assert queue.ramp_until_ms and not queue.paused
    for name in names:
        tasks.event(tasks.release, name).set()
    await core.client.commands.resume_type("core_wait", "anna")

    async def done() -> bool:
        [view] = await core.client.inspect.agents()
        return view.done == 8 and view.recent == 8 and view.p95_ms >= view.p50_ms > 0

    await until(done)


async def test_a_draining_instance_tells_what_is_left(core: World) -> None:
    await core.host()
    worker = await core.agents("core_wait")
    await core.client.submit("pool_one", "drained")
    await tasks.event(tasks.started, "drained").wait()
    await core.client.commands.drain_agent(worker.instance, "anna")

    async def remaining(count: int) -> bool:
        [view] = await core.client.inspect.agents()
        return view.draining and view.remaining == count

    await until(lambda: remaining(1))
    tasks.event(tasks.release, "drained").set()
    await until(lambda: remaining(0))


class PoolOne(DistributedCoordinator):
    async def run(self, name: str) -> str:
        return str(await self.dispatch_task("core_wait", name))
