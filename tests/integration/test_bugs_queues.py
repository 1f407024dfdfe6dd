"""Bugs 7 to 16 of reliability.md: what goes wrong with consumer groups, pending entries and streams."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from agents import AgentWorker
from agents.handlers import Handler
from agents.registration import bury
from agents.task import Task
from coordination import host as host_module
from coordination import scripts, sweeper
from coordination.config import Config
from coordination.connection import Connection
from coordination.journal import SignalAwaited
from coordination.keys import AGENTS_GROUP, COORDINATORS_GROUP, PRIORITIES
from coordination.scripts import GONE, STALE
from tests.agent_tasks import add, beaten, new_type, nothing_left, outcome, outcome_now, record, serving, until
from tests.core_harness import World
from tests.lua_bench import Bench

LUA = Path(scripts.__file__).parent / "lua"


@pytest.fixture
async def bench(config: Config) -> AsyncIterator[Bench]:
    async with await Connection.open(config) as connection:
        yield Bench(connection)


@pytest.fixture
def connection(bench: Bench) -> Connection:
    return bench.connection


class Counting:
    """A handler that counts its runs by workflow and can be held back."""

    def __init__(self, held: bool = False) -> None:
        self.name = new_type()
        self.runs: list[str] = []
        self.go = asyncio.Event()
        if not held:
            self.go.set()
        self.handler = Handler(self.name, self.run)

    async def run(self, task: Task, value: int) -> int:
        self.runs.append(task.workflow_id)
        await self.go.wait()
        return value


async def pending(connection: Connection, stream: str, group: str = AGENTS_GROUP) -> int:
    return int((await connection.call("XPENDING", stream, group))[0])


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts look for entries that they lost soon, and three at a time."""
    monkeypatch.setattr(sweeper, "_LOST_MS", 100)
    monkeypatch.setattr(sweeper, "_PAGE", 3)
    monkeypatch.setattr(host_module, "_RESCUE_S", 0.1)


# --- 7 and 8: entries that are pending here -------------------------------------------------


async def test_bug_07_own_pending_entries_are_seen_after_a_lost_reply(config: Config, connection: Connection) -> None:
    counting = Counting()
    async with serving(AgentWorker(config=config, handlers=[counting.handler])) as worker:
        queue = connection.keys.agent_queue(counting.name)
        await connection.call("HSET", connection.keys.paused, counting.name, "{}")
        async with asyncio.timeout(5):
            await beaten(connection, worker, 2)
        workflow = await add(connection, counting.name, 1)
        await connection.call("XREADGROUP", "GROUP", "agents", worker.instance, "STREAMS", queue, ">")
        await connection.call("HDEL", connection.keys.paused, counting.name)
        worker.ledger.missed.set()  # what every failed call does
        assert (await outcome(connection, workflow)).value == 1
        assert (await record(connection, workflow))[3] == "1"


async def _fetched(connection: Connection, worker: AgentWorker, task_type: str) -> None:
    """What an agent is given by an answer that it never gets."""
    keys = connection.keys
    queues = [keys.instance_queue(task_type, worker.instance), *(keys.agent_queue(task_type, p) for p in PRIORITIES)]
    claimed = task_type if connection.one_server else ""
    answer = await connection.script("fetch_tasks", queues, ["agents", worker.instance, 1, claimed])
    assert len(answer) == 2


async def test_bug_07_a_claim_whose_answer_was_lost_is_run_once(config: Config, connection: Connection) -> None:
    counting = Counting()
    async with serving(AgentWorker(config=config, handlers=[counting.handler])) as worker:
        await connection.call("HSET", connection.keys.paused, counting.name, "{}")
        async with asyncio.timeout(5):
            await beaten(connection, worker, 2)
        workflow = await add(connection, counting.name, 1)
        await _fetched(connection, worker, counting.name)
        await connection.call("HDEL", connection.keys.paused, counting.name)
        worker.ledger.missed.set()
        assert (await outcome(connection, workflow)).value == 1
        assert (await record(connection, workflow))[3] == "1"
    assert counting.runs == [workflow]


async def test_bug_07_a_claim_whose_answer_was_lost_is_given_back_at_the_end(
    config: Config, connection: Connection
) -> None:
    counting = Counting(held=True)
    async with serving(AgentWorker(config=config, handlers=[counting.handler], concurrency=1)) as worker:
        first = await add(connection, counting.name, 1)
        await until(lambda: counting.runs == [first])
        second = await add(connection, counting.name, 2)
        await _fetched(connection, worker, counting.name)
        worker.ledger.missed.set()
        await until(lambda: len(worker.ledger.known) == 2)
        worker.stop()
        await until(lambda: connection.call("XLEN", connection.keys.agent_queue(counting.name)))
        counting.go.set()
    assert (await record(connection, second))[2:4] == ["q", "0"]
    async with serving(AgentWorker(config=config, handlers=[counting.handler])):
        assert (await outcome(connection, second)).value == 2
    assert counting.runs == [first, second]


@pytest.mark.usefixtures("hasty")
async def test_bug_08_a_lost_entry_is_found_behind_all_that_are_in_memory(core: World) -> None:
    """Looks at pending entries that always begin at the first never come to the last."""
    host = await core.host()
    agent = await core.agents("core_tick")
    running = [await core.client.submit("core_open") for _ in range(64)]
    await until(lambda: len(host.executions) == 64)
    identity = await core.client.submit("core_open")
    await core.entry(identity, SignalAwaited)
    host.executions[identity].abandon()  # it is pending here and not in memory, as after a lost reply
    await until(lambda: host.has(identity), 15)
    for waiting in [identity, *running[:2]]:
        await core.client.signal(waiting, "go")
        assert await core.client.result(waiting, timeout_s=10) == "done 1"
    assert agent.ledger.done >= 3


async def test_bug_08_an_agent_finds_what_it_lost_behind_what_it_runs(config: Config, connection: Connection) -> None:
    counting = Counting(held=True)
    async with serving(AgentWorker(config=config, handlers=[counting.handler], concurrency=120)) as worker:
        for _ in range(105):  # more than one page
            await add(connection, counting.name, 1)
        await until(lambda: len(counting.runs) == 105)
        await connection.call("HSET", connection.keys.paused, counting.name, "{}")
        async with asyncio.timeout(5):
            await beaten(connection, worker, 2)
        queue = connection.keys.agent_queue(counting.name)
        workflow = await add(connection, counting.name, 2)
        await connection.call("XREADGROUP", "GROUP", "agents", worker.instance, "STREAMS", queue, ">")
        await connection.call("HDEL", connection.keys.paused, counting.name)
        worker.ledger.missed.set()
        await until(lambda: workflow in counting.runs)
        counting.go.set()
        await until(lambda: nothing_left(connection, counting.name))
    assert len(counting.runs) == 106


# --- 9 to 12: whose a task is -------------------------------------------------------------------


async def test_bug_09_recovery_goes_on_when_who_began_it_is_killed(config: Config, connection: Connection) -> None:
    """What is left to do about a dead agent stands in the registry, not in the one that noticed, and behind no lock."""
    counting, keys = Counting(), connection.keys
    workflow = await add(connection, counting.name, 1)
    queue = keys.agent_queue(counting.name)
    await connection.call("XREADGROUP", "GROUP", "agents", "dead-1", "STREAMS", queue, ">")
    await connection.call("HSET", keys.workflow(workflow), "t:0", "0:1:c:1:1:1:dead-1")
    await connection.call("HSET", keys.agent_beats, "dead-1", "7:1")
    assert await bury(connection, "dead-1", b"7:1", [counting.name]) == 1  # and here its observer is killed
    assert await bury(connection, "dead-1", b"7:1", [counting.name]) == GONE
    async with serving(AgentWorker(config=config, handlers=[counting.handler])):
        assert (await outcome(connection, workflow, 8)).value == 1


async def test_bug_10_a_living_agent_is_not_robbed_of_a_task_however_long_it_takes(
    config: Config, connection: Connection
) -> None:
    counting = Counting(held=True)
    workers = [AgentWorker(config=config, handlers=[counting.handler], concurrency=4) for _ in range(2)]
    async with serving(workers[0]), serving(workers[1]):
        workflow = await add(connection, counting.name, 1)
        await until(lambda: counting.runs)
        for _ in range(40):
            await add(connection, counting.name, 1, workflow_id=workflow, fresh=False)
        await until(lambda: _delivered(connection, counting.name))
        counting.go.set()
        await until(lambda: nothing_left(connection, counting.name))
    assert counting.runs == [workflow]
    assert (await outcome_now(connection, workflow)).values == [1]


async def _delivered(connection: Connection, task_type: str) -> bool:
    """Whether all but what runs was delivered and dropped."""
    queue = connection.keys.agent_queue(task_type)
    waiting = await connection.call("XINFO", "GROUPS", queue)
    lag = dict(zip(waiting[0][::2], waiting[0][1::2], strict=True))[b"lag"]
    return await pending(connection, queue) <= 1 and not lag


async def test_bug_11_an_entry_that_changed_hands_is_not_taken_off_its_new_holder(bench: Bench) -> None:
    call, task_type = bench.connection.call, new_type()
    queue, target = (bench.keys.agent_queue(task_type, priority) for priority in ("normal", "high"))
    for stream in (queue, target):
        await call("XGROUP", "CREATE", stream, AGENTS_GROUP, "0", "MKSTREAM")
    ids = [await call("XADD", queue, "*", "n", number) for number in range(3)]
    await call("XREADGROUP", "GROUP", AGENTS_GROUP, "a", "STREAMS", queue, ">")
    await call("XCLAIM", queue, AGENTS_GROUP, "b", 0, ids[1])
    assert await bench.script("move_tasks", [queue, target], [AGENTS_GROUP, "a", *ids]) == 2
    left = await call("XPENDING", queue, AGENTS_GROUP, "-", "+", 10)
    assert [(row[0], row[1]) for row in left] == [(ids[1], b"b")]
    assert await bench.length(queue) == 1 and await bench.length(target) == 2
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await bench.claim_task(identity, "a")
    await bench.claim_task(identity, "b", previous="a")
    assert await bench.unclaim_task(identity, "a") == STALE


async def test_bug_12_an_attempt_that_was_superseded_does_not_run_beside_the_next(
    config: Config, connection: Connection
) -> None:
    counting = Counting()
    early = await add(connection, counting.name, 1, number=1)
    await connection.call("HSET", connection.keys.workflow(early), "t:0", "0:2:q:0:0:0:")
    restarted = await add(connection, counting.name, 1, number=1)
    await connection.call("HSET", connection.keys.workflow(restarted), "t:0", "1:1:q:0:0:0:")
    gone = await add(connection, counting.name, 1)
    await connection.call("DEL", connection.keys.workflow(gone))
    async with serving(AgentWorker(config=config, handlers=[counting.handler])):
        await until(lambda: nothing_left(connection, counting.name))
    assert counting.runs == []
    assert not await connection.call("EXISTS", connection.keys.workflow(gone))
    assert not await connection.call("EXISTS", connection.keys.journal(gone))


# --- 13 to 16: streams and groups ------------------------------------------------------------------


async def test_bug_13_a_consumer_that_holds_something_is_not_deleted(bench: Bench) -> None:
    for _ in range(3):
        await bench.submit(bench.new_id())
    entries = await bench.read("h9")
    stream = bench.keys.workflows(0)
    assert await bench.script("retire_consumer", [stream], [COORDINATORS_GROUP, "h9"]) == 0
    assert len(await bench.take_over("w", "h9", "h1", 2)) == 2  # fewer than it holds, so it stays
    assert await pending(bench.connection, stream, COORDINATORS_GROUP) == 3
    assert len(await bench.take_over("w", "h9", "h1", 2)) == 1
    for entry, _ in entries:
        await bench.script("acknowledge", [stream], [COORDINATORS_GROUP, entry[1:]])
    assert await bench.script("retire_consumer", [stream], [COORDINATORS_GROUP, "h1"]) == 1


async def test_bug_14_what_is_not_acknowledged_is_never_trimmed(bench: Bench) -> None:
    """Only the bounded streams that nobody owns entries of are capped: inboxes, host events, the quarantine."""
    capped = {
        path.stem.split("-")[0] for path in LUA.glob("*.lua") if re.search("MAXLEN|MINID|XTRIM", path.read_text())
    }
    assert capped == {"declare_dead", "_wake"}
    identities = [bench.new_id() for _ in range(300)]
    await asyncio.gather(*(bench.submit(identity) for identity in identities))
    read: list[str] = []
    for host in ("h1", "h2", "h1"):
        read += [workflow for _, workflow in await bench.read(host)]
    assert sorted(read) == sorted(identities)
    assert await pending(bench.connection, bench.keys.workflows(0), COORDINATORS_GROUP) == 300


async def test_bug_14_an_entry_that_was_deleted_leaves_the_pending_list(config: Config, connection: Connection) -> None:
    counting = Counting()
    async with serving(AgentWorker(config=config, handlers=[counting.handler])) as worker:
        queue = connection.keys.agent_queue(counting.name)
        await connection.call("HSET", connection.keys.paused, counting.name, "{}")
        async with asyncio.timeout(5):
            await beaten(connection, worker, 2)
        entry = await connection.call("XADD", queue, "*", "trimmed", "1")
        await connection.call("XREADGROUP", "GROUP", "agents", worker.instance, "STREAMS", queue, ">")
        await connection.call("XDEL", queue, entry)
        assert await pending(connection, queue) == 1
        worker.ledger.missed.set()
        await until(lambda: _none_pending(connection, queue))


async def test_bug_14_a_takeover_drops_entries_that_were_deleted(bench: Bench) -> None:
    for _ in range(3):
        await bench.submit(bench.new_id())
    entries = await bench.read("dead")
    await bench.connection.call("XDEL", bench.keys.workflows(0), entries[1][0][1:])
    assert await bench.take_over("w", "dead", "h1", 10) == [entries[0][1], entries[2][1]]
    assert await pending(bench.connection, bench.keys.workflows(0), COORDINATORS_GROUP) == 2


async def _none_pending(connection: Connection, queue: str) -> bool:
    return not await pending(connection, queue)


async def test_bug_15_acknowledging_leaves_neither_entry_nor_pending(bench: Bench) -> None:
    stream = bench.keys.workflows(0)
    for _ in range(2):
        await bench.submit(bench.new_id())
    entries = [entry[1:] for entry, _ in await bench.read("h9")]
    assert [await bench.script("acknowledge", [stream], ["coordinators", *entries]) for _ in range(2)] == [2, 0]
    assert await bench.length(stream) == 0
    assert await pending(bench.connection, stream, COORDINATORS_GROUP) == 0
    identity = await bench.running()
    await bench.park(identity, 1, 0)
    assert await bench.length(stream) == 0
    assert await pending(bench.connection, stream, COORDINATORS_GROUP) == 0


async def test_bug_16_vanished_queues_heal_and_nothing_that_comes_after_is_missed(
    config: Config, connection: Connection
) -> None:
    counting = Counting()
    async with serving(AgentWorker(config=config, handlers=[counting.handler])) as worker:
        await outcome(connection, await add(connection, counting.name, 1))
        own = connection.keys.instance_queue(counting.name, worker.instance)
        for _ in range(3):
            queues = [connection.keys.agent_queue(counting.name, name) for name in ("high", "normal", "low")]
            await asyncio.gather(*(connection.call("DEL", queue) for queue in [own, *queues]))
            # a bare stream, as a client that knows nothing of groups would make it
            workflow = await add(connection, counting.name, 2, queue=queues[0], group=False)
            assert (await outcome(connection, workflow, 5)).value == 2


async def test_bug_16_a_group_that_is_made_again_repeats_no_work(config: Config, bench: Bench) -> None:
    """From the beginning nothing is lost; what is delivered twice for it is dropped by the task's record."""
    counting = Counting()
    async with serving(AgentWorker(config=config, handlers=[counting.handler])):
        workflow = await add(bench.connection, counting.name, 1)
        await outcome(bench.connection, workflow)
        queue = bench.keys.agent_queue(counting.name)
        await bench.connection.call("XGROUP", "DESTROY", queue, AGENTS_GROUP)
        await add(bench.connection, counting.name, 1, workflow_id=workflow, fresh=False, group=False)
        await until(lambda: nothing_left(bench.connection, counting.name))
    assert counting.runs == [workflow]
