"""Whom a coordinator chooses: by capability, in turn, by load; never the dead, never the draining."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents import AgentWorker
from agents.handlers import Handler
from agents.task import Task
from coordination import pool
from coordination.client import WorkflowFailed
from coordination.config import Config
from coordination.connection import Connection
from coordination.coordinator import DistributedCoordinator
from coordination.registry import Registry, read_agents
from tests.agent_tasks import add, beaten, outcome, process, serving, until
from tests.core_harness import World

TYPE = "selection_work"


@pytest.fixture
async def connection(config: Config) -> AsyncIterator[Connection]:
    async with await Connection.open(config) as opened:
        yield opened


def a_worker(
    config: Config, name: str, *, concurrency: int = 4, task_type: str = TYPE, **has: list[str]
) -> AgentWorker:
    """A worker that answers with its name, or waits."""

    async def run(task: Task, value: Any) -> str:
        if value == "wait":
            await asyncio.sleep(60)
        return name

    handler = Handler(task_type, run, capabilities=has)
    return AgentWorker(config=config, name=name, handlers=[handler], concurrency=concurrency)


async def looked(connection: Connection, *workers: AgentWorker) -> Registry:
    """A registry that has seen these workers' latest heartbeats."""
    for worker in workers:
        await beaten(connection, worker)
    registry = Registry(connection)
    await registry.refresh()
    return registry


async def test_round_robin_takes_turns(config: Config, connection: Connection) -> None:
    workers = [a_worker(config, name) for name in ("a", "b", "c")]
    async with serving(workers[0]), serving(workers[1]), serving(workers[2]):
        registry = await looked(connection, *workers)
        chosen = [registry.choose(TYPE, None, "round_robin") for _ in range(30)]
        assert set(collections.Counter(chosen).values()) == {10}
        assert chosen[:3] == chosen[3:6]
        await registry.refresh()  # a look does not begin the turns anew
        assert registry.choose(TYPE, None, "round_robin") == chosen[0]


async def test_least_loaded_counts_what_runs_waits_and_was_just_assigned(
    config: Config, connection: Connection
) -> None:
    busy, free = a_worker(config, "a", concurrency=4), a_worker(config, "b", concurrency=4)
    async with serving(busy), serving(free):
        for _ in range(3):
            await add(connection, TYPE, "wait", queue=connection.keys.instance_queue(TYPE, busy.instance))
        await until(lambda: len(busy.ledger.running) == 3)
        registry = await looked(connection, busy, free)
        chosen = collections.Counter(registry.choose(TYPE, None, "least_loaded") for _ in range(5))
        assert chosen == {free.instance: 4, busy.instance: 1}
        for running in list(busy.ledger.running.values()):
            running.stop("lost")


async def test_least_loaded_goes_by_the_share_of_slots(config: Config, connection: Connection) -> None:
    small, large = a_worker(config, "a", concurrency=1), a_worker(config, "b", concurrency=9)
    async with serving(small), serving(large):
        registry = await looked(connection, small, large)
        chosen = collections.Counter(registry.choose(TYPE, None, "least_loaded") for _ in range(10))
        assert chosen == {small.instance: 1, large.instance: 9}


async def test_the_shared_queue_unless_something_is_required(config: Config, connection: Connection) -> None:
    english, any_ = a_worker(config, "a", language=["en"]), a_worker(config, "b", language=["*"])
    async with serving(english), serving(any_):
        registry = await looked(connection, english, any_)
        assert registry.choose(TYPE) is None
        assert registry.choose(TYPE, {"language": "fr"}) == any_.instance
        assert registry.choose(TYPE, {"language": "en", "size": "big"}) is None
        able = registry.capable(TYPE, {"language": "en"})
        assert {view.id for view in able} == {english.instance, any_.instance}
        assert registry.capable(TYPE + "s") == []


async def test_neither_the_draining_nor_the_dead_are_chosen(config: Config, connection: Connection) -> None:
    arguments = ("--module", "tests.agent_samples", "--name")
    registry = Registry(connection, 0.25)
    async with process(config, *arguments, "lives"), process(config, *arguments, "dies") as dies:
        await registry.refresh()
        names = {view.name: view.id for view in registry.capable("sample_none")}
        assert sorted(names) == ["dies", "lives"]
        await pool.drain_agent(connection, names["lives"])
        await registry.refresh()
        assert [view.id for view in registry.capable("sample_none")] == [names["dies"]]
        await pool.undrain_agent(connection, names["lives"])
        dies.kill()

        async def only_the_living() -> bool:
            await asyncio.sleep(0.25)
            await registry.refresh()
            return [view.id for view in registry.capable("sample_none")] == [names["lives"]]

        await until(only_the_living, 5)


async def test_an_observer_that_paused_declares_nobody_dead(config: Config, connection: Connection) -> None:
    worker = a_worker(config, "a")
    async with serving(worker):
        registry = Registry(connection, 0.1)
        for _ in range(3):
            await registry.refresh()
        await asyncio.sleep(1.5)  # a gap of the observer's own
        await registry.refresh()
        assert registry.suspects() == []
        assert registry.views[worker.instance].alive


async def test_looks_in_quick_succession_are_one_look(config: Config, connection: Connection) -> None:
    worker = a_worker(config, "a")
    async with serving(worker):
        registry = Registry(connection, 0.5)
        await registry.refresh()
        for _ in range(3 * registry.patience):  # as when an observer was late and catches up
            await registry.refresh()
        assert registry.suspects() == []


async def test_pages_see_load_and_health(config: Config, connection: Connection) -> None:
    worker = a_worker(config, "a", concurrency=2)
    async with serving(worker):
        workflow = await add(connection, TYPE, "wait", timeout_s=600)
        await outcome(connection, await add(connection, TYPE))
        await beaten(connection, worker)

        async def shown() -> Any:
            (view,) = await read_agents(connection)
            return view if view.running else None

        view = await until(shown)
        assert (view.health, view.load, view.concurrency, view.done) == ("works", 1, 2, 1)
        assert view.last_work_ms > 0
        assert view.running[0]["workflow"] == workflow
        for running in list(worker.ledger.running.values()):
            running.stop("lost")


# --- as workflows use it ------------------------------------------------------------------


class SelectionFlow(DistributedCoordinator):
    """Sends tasks by strategy and by requirement."""

    async def run(self, count: int) -> dict[str, list[str]]:
        turns = await self.gather(
            *(self.dispatch_task(TYPE, n, strategy="round_robin", returns=str) for n in range(count))
        )
        german = await self.gather(
            *(self.dispatch_task(TYPE, n, requires={"language": "de"}, returns=str) for n in range(count))
        )
        return {"turns": list(turns), "german": list(german)}


class SelectionUnknown(DistributedCoordinator):
    """Asks for what does not exist."""

    async def run(self, options: dict[str, Any]) -> None:
        await self.dispatch_task(TYPE, None, **options)


@pytest.mark.parametrize("options", [{"priority": "urgent"}, {"strategy": "fastest"}])
async def test_an_option_that_does_not_exist_is_told_at_once(core: World, options: dict[str, Any]) -> None:
    """A queue that nobody reads would keep the task for ever."""
    await core.host()
    with pytest.raises(WorkflowFailed, match=r"='(urgent|fastest)' does not exist; use one of"):
        await core.run("selection_unknown", options)


async def test_a_workflow_takes_turns_and_gets_what_it_requires(core: World) -> None:
    english, german = (
        a_worker(core.config, "english", language=["en"]),
        a_worker(core.config, "german", language=["de"]),
    )
    async with serving(english), serving(german):
        await core.host()
        found = await core.run("selection_flow", 12)
    assert collections.Counter(found["turns"]) == {"english": 6, "german": 6}
    assert set(found["german"]) == {"german"}


async def test_a_workflow_goes_on_when_an_addressed_instance_leaves(core: World) -> None:
    german = a_worker(core.config, "german", language=["de"])
    async with serving(german):
        await core.host()
        stuck = asyncio.create_task(core.run("selection_flow", 6, timeout_s=30))
        async with serving(a_worker(core.config, "second", language=["de"])) as second:
            await until(lambda: second.ledger.done or german.ledger.done)
        assert set((await stuck)["german"]) <= {"german", "second"}
