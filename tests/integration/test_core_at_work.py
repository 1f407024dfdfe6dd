"""A long queue is worked off in order: a host begins new workflows only while few of its own are at work."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import DistributedCoordinator, at_work
from coordination import journal as j
from coordination.at_work import AtWork
from coordination.domain import WorkflowState
from dashboard.waits import Wait, sentences
from tests.core_app.agents import event, release, started
from tests.core_harness import World, until
from tests.integration.conftest import Tune


class AtWorkHeld(DistributedCoordinator):
    """One step, which the test ends."""

    async def run(self, name: str) -> Any:
        return await self.dispatch_task("core_wait", name)


@pytest.fixture
def few(tune: Tune) -> None:
    """Two at work are the most; one shard, so that a read brings no more than is asked for."""
    tune(host_at_work=2, shards=1, park_after_s=0.5)


def let_all_go() -> None:
    for name in ("one", "two", "three"):
        event(release, name).set()


async def begun(core: World, names: list[str]) -> list[str]:
    snapshots = [await core.client.get(name) for name in names]
    return [found.id for found in snapshots if found.state is not WorkflowState.QUEUED]


async def test_the_first_end_before_later_ones_begin(few: None, core: World) -> None:
    names = [f"w{number}" for number in range(6)]
    for name in names:
        await core.client.submit("at_work_held", name, workflow_id=name)
    await core.agents(concurrency=10)
    host = await core.host()

    await until(lambda: len(started) == 2)
    await asyncio.sleep(0.3)  # six reads of a host that would take more
    assert await begun(core, names) == names[:2]
    assert (host.at_work.count(), host.describe().at_work, host.describe().at_work_most) == (2, 2, 2)

    async def told() -> list[Wait] | None:
        [reason] = await core.client.inspect.why(names[5])
        return sentences(names[5], [reason], {}) if (reason.hosts, reason.full) == (1, 1) else None

    [wait] = await until(told)
    assert str(wait.words).startswith(
        "Waits for its turn: every coordinator host has as many workflows at work as it may"
    )

    for name in names:
        event(release, name).set()
    assert [await core.client.result(name, timeout_s=10) for name in names] == names
    await until(lambda: host.at_work.count() == 0)


async def test_what_only_waits_does_not_count(few: None, core: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_work, "LATELY_S", 60.0)
    await core.agents()
    await core.host()
    waiting = [await core.client.submit("core_open") for _ in range(4)]

    for identity in waiting:
        await core.entry(identity, j.SignalAwaited)
    assert await core.run("core_steps", 3) == 300

    for identity in waiting:
        await core.client.signal(identity, "go")
        assert str(await core.client.result(identity, timeout_s=10)).startswith("done")


async def test_parked_workflows_go_on_while_new_ones_wait(few: None, core: World) -> None:
    await core.agents(concurrency=10)
    await core.host()
    waiting = await core.client.submit("core_open")
    await until(lambda: core.held(waiting))
    await until(lambda: not core.held(waiting))
    for name in ("one", "two", "three"):
        await core.client.submit("at_work_held", name, workflow_id=name)
    await until(lambda: len(started) == 2)

    await core.client.signal(waiting, "go")

    assert str(await core.client.result(waiting, timeout_s=10)).startswith("done")
    assert await begun(core, ["one", "two", "three"]) == ["one", "two"]
    let_all_go()


async def test_slow_agents_keep_no_new_workflow_waiting(
    few: None, core: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "LATELY_S", 0.3)
    await core.agents(concurrency=10)
    await core.host()
    for name in ("one", "two"):
        await core.client.submit("at_work_held", name, workflow_id=name)
    await until(lambda: len(started) == 2)

    assert await core.run("core_steps", 3) == 300
    let_all_go()


def test_the_stillest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("coordination.at_work.time.monotonic", lambda: now)
    work = AtWork()
    for name in ("a", "b", "c"):
        work.moved(name)
        now += 1.0
    work.moved("a")
    work.rests("c")
    assert work.count() == 2

    now = 101.5 + at_work.LATELY_S
    assert work.count() == 1
    work.rests("a")
    assert work.count() == 0
