"""Duplicates are no-ops, poison is set aside, and vanished queues heal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents import AgentWorker
from agents.handlers import Handler
from agents.task import Task
from coordination import tasks
from coordination.config import Config
from coordination.connection import Connection
from tests.agent_tasks import add, new_type, nothing_left, outcome, outcome_now, serving, until


@pytest.fixture
async def connection(config: Config) -> AsyncIterator[Connection]:
    async with await Connection.open(config) as opened:
        yield opened


class Counting:
    """A handler that counts its runs by workflow and can be held back."""

    def __init__(self) -> None:
        self.name = new_type()
        self.runs: list[str] = []
        self.go = asyncio.Event()
        self.go.set()
        self.handler = Handler(self.name, self.run)

    async def run(self, task: Task, value: Any) -> Any:
        self.runs.append(task.workflow_id)
        await self.go.wait()
        return value


async def test_a_hundred_deliveries_of_one_task_run_it_once(config: Config, connection: Connection) -> None:
    counting = Counting()
    async with serving(AgentWorker(config=config, handlers=[counting.handler])):
        workflow = await add(connection, counting.name, 1)
        for _ in range(99):
            await add(connection, counting.name, 1, workflow_id=workflow, fresh=False)
        await until(lambda: nothing_left(connection, counting.name))
    assert counting.runs == [workflow]
    assert (await outcome_now(connection, workflow)).values == [1]


@pytest.mark.parametrize("state", ["s", "f", "x"])
async def test_what_is_settled_failed_or_withdrawn_does_not_run(
    config: Config, connection: Connection, state: str
) -> None:
    counting = Counting()
    workflow = await add(connection, counting.name, 1)
    await connection.call("HSET", connection.keys.workflow(workflow), "t:0", f"0:1:{state}:1:5:5:other")
    async with serving(AgentWorker(config=config, handlers=[counting.handler])):
        await until(lambda: nothing_left(connection, counting.name))
    assert counting.runs == []


async def test_a_result_of_a_superseded_attempt_still_settles_its_step_once(
    config: Config, connection: Connection
) -> None:
    counting = Counting()
    counting.go.clear()
    async with serving(AgentWorker(config=config, handlers=[counting.handler])):
        workflow = await add(connection, counting.name, "first")
        await until(lambda: counting.runs)
        await connection.call("HSET", connection.keys.workflow(workflow), "t:0", "0:2:q:0:0:0:")
        await add(connection, counting.name, "second", workflow_id=workflow, number=2, fresh=False)
        await until(lambda: len(counting.runs) == 2)
        counting.go.set()
        await until(lambda: nothing_left(connection, counting.name))
    found = await outcome_now(connection, workflow)
    assert len(found.values) == 1
    assert found.errors == []
    assert await connection.call("HGET", connection.keys.workflow(workflow), "late") == b"1"


@pytest.mark.parametrize(
    "fields",
    [
        ["nothing", "known"],
        ["k", "workflow:{0}:w1", "t", "zero:1:100:0:TYPE", "p", "1"],
        ["k", "workflow:{0}:w1", "t", "0:1:100:0:another_type", "p", "1"],
        ["k", "workflow:{0}:w1", "t", "0:1:100:0:TYPE", "p", "1", "r", "not json"],
        ["k", "workflow:{0}:w1", "t", "0:1:100:TYPE", "p", "1"],
        ["k", b"\xff\xfe", "t", "0:1:100:0:TYPE", "p", "1"],
        ["k", "workflow:{0}:w1", "t", "0:1:100:0:TYPE"],
        ["huge", "x" * 4_000_000],
    ],
)
async def test_poison_is_set_aside_and_its_neighbours_run(
    config: Config, connection: Connection, fields: list[Any]
) -> None:
    counting = Counting()
    before = await add(connection, counting.name, 1)
    queue = connection.keys.agent_queue(counting.name)
    poison = await connection.call(
        "XADD", queue, "*", *[f.replace("TYPE", counting.name) if isinstance(f, str) else f for f in fields]
    )
    after = await add(connection, counting.name, 2)
    async with serving(AgentWorker(config=config, handlers=[counting.handler])):
        await until(lambda: nothing_left(connection, counting.name))
    assert sorted(counting.runs) == sorted([before, after])
    (entry,) = await connection.call("XRANGE", connection.keys.quarantine, "-", "+")
    kept = dict(zip(entry[1][::2], entry[1][1::2], strict=True))
    assert (kept[b"queue"], kept[b"entry"]) == (queue.encode(), poison)
    assert kept[b"reason"]
    assert len(kept[b"fields"]) <= 65_536


async def test_a_payload_that_is_no_json_fails_its_task(config: Config, connection: Connection) -> None:
    counting = Counting()
    workflow = await add(connection, counting.name, 1)
    queue = connection.keys.agent_queue(counting.name)
    await connection.call("DEL", queue)
    await connection.call("XGROUP", "CREATE", queue, "agents", "0", "MKSTREAM")
    entry = tasks.fields(connection.keys, workflow, "0", 0, 1, counting.name, b"\xffnot json", 1.0)
    await connection.call("XADD", queue, "*", *entry)
    async with serving(AgentWorker(config=config, handlers=[counting.handler])):
        error = (await outcome(connection, workflow)).error
    assert (error.kind, error.retryable) == ("InvalidInput", False)


async def test_a_task_that_ends_its_agents_is_given_to_no_more(config: Config, connection: Connection) -> None:
    counting = Counting()
    workflow = await add(connection, counting.name, 1)
    await connection.call("HSET", connection.keys.workflow(workflow), "t:0", "0:1:c:5:1:1:dead-agent")
    async with serving(AgentWorker(config=config, handlers=[counting.handler])):
        error = (await outcome(connection, workflow)).error
        assert (error.kind, error.retryable) == ("Poison", False)
        assert "ended 5 agents" in error.message
        await until(lambda: nothing_left(connection, counting.name))
    assert counting.runs == []


async def test_a_lost_registry_is_filled_again(config: Config, connection: Connection) -> None:
    counting = Counting()
    async with serving(AgentWorker(config=config, handlers=[counting.handler])) as worker:
        keys = connection.keys
        name = worker.instance
        await asyncio.gather(
            *(connection.call("DEL", key) for key in (keys.agent_beats, keys.agents, keys.agent_status))
        )
        await until(lambda: connection.call("HEXISTS", keys.agents, name))
        assert (await outcome(connection, await add(connection, counting.name, 1))).value == 1
        assert json.loads(await connection.call("HGET", keys.agents, name))["types"] == [counting.name]


async def test_high_before_normal_before_low(config: Config, connection: Connection) -> None:
    counting = Counting()
    ids = {}
    for priority in ("low", "normal", "high"):
        ids[priority] = [await add(connection, counting.name, 1, priority=priority) for _ in range(3)]
    async with serving(AgentWorker(config=config, handlers=[counting.handler], concurrency=1)):
        await until(lambda: len(counting.runs) == 9)
    assert counting.runs == [*ids["high"], *ids["normal"], *ids["low"]]


async def test_never_more_at_once_than_there_are_slots(config: Config, connection: Connection) -> None:
    counting = Counting()
    counting.go.clear()
    for _ in range(20):
        await add(connection, counting.name, 1)
    async with serving(AgentWorker(config=config, handlers=[counting.handler], concurrency=3)) as worker:
        await until(lambda: len(counting.runs) == 3)
        assert worker.ledger.free() == 0
        held = await connection.call("XPENDING", connection.keys.agent_queue(counting.name), "agents")
        assert held[0] == 3  # nothing is fetched ahead: the rest is free for other agents
        counting.go.set()
        await until(lambda: nothing_left(connection, counting.name))
    assert len(counting.runs) == 20
