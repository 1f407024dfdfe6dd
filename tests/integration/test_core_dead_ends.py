"""Places where a workflow could stand still for ever, or go round for ever, with nobody told."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from agents import Task
from agents.handlers import Handler
from coordination import DistributedCoordinator, catalog
from coordination import journal as j
from coordination.connection import Connection
from coordination.domain import Reason, WorkflowState
from coordination.errors import InvalidPayload, ResultPending
from coordination.submission import MOST_DEADLINE_S
from tests.core_harness import World, until
from tests.integration.conftest import Tune


class CoreIdle(DistributedCoordinator):
    """Waits for a signal."""

    async def run(self) -> str:
        return str(await self.wait_for_signal("go", returns=str))


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often this process has called each script."""
    counts, run = Counter[str](), Connection.script

    async def script(self: Connection, name: str, keys: list[str], args: list[Any]) -> Any:
        counts[name] += 1
        return await run(self, name, keys, args)

    monkeypatch.setattr(Connection, "script", script)
    return counts


async def test_a_result_that_the_workflow_cannot_take_goes_to_people(core: World) -> None:
    """The agent's own check lets it pass, as that of an agent without types does."""

    class CoreTakesWords(DistributedCoordinator):
        async def run(self) -> str:
            return str(await self.dispatch_task("core_add", [1, 2], returns=str))

    await core.host()
    await core.agents()
    identity = await core.client.submit("core_takes_words")
    found = await core.escalation(identity)
    assert found.reason is Reason.FINAL_ERROR and "does not fit" in found.errors[-1].message
    assert (await core.steps(identity))["1"].state == "escalated"
    await core.decide(found, "supply", "three")
    assert await core.client.result(identity, timeout_s=5) == "three"


async def test_many_results_that_do_not_fit_take_no_more_than_their_number(core: World, scripts: Counter[str]) -> None:
    class CoreTakesManyWords(DistributedCoordinator):
        async def run(self) -> list[str]:
            return list(await self.gather(*(self.dispatch_task("core_shape", n, returns=str) for n in range(100, 160))))

    await core.host()
    await core.agents()
    identity = await core.client.submit("core_takes_many_words")
    await core.escalation(identity, 60, within_s=20.0)
    assert scripts["escalate"] <= 3 * 60  # it was their square
    await core.client.cancel(identity)
    await core.state(identity, WorkflowState.CANCELLED)


async def test_a_pause_forgets_no_step_that_waits_for_its_next_attempt(core: World, tune: Tune) -> None:
    core.config = tune(backoff_s=0.6, backoff_max_s=0.6)

    class CoreTriesAgain(DistributedCoordinator):
        async def run(self) -> int:
            return int(await self.dispatch_task("core_flaky", {"fails": 1}))

    await core.host()
    await core.agents()
    identity = await core.client.submit("core_tries_again")
    await core.entry(identity, j.Erred)
    await core.client.commands.pause(identity, actor="anna")
    await core.state(identity, WorkflowState.PAUSED)
    await asyncio.sleep(1.0)  # the time of the next attempt passes
    await core.client.commands.resume(identity, actor="anna")
    assert await core.client.result(identity, timeout_s=5) == 42


async def test_the_time_without_code_begins_anew_once_it_was_there(core: World, tune: Tune) -> None:
    core.config = tune(no_agent_s=2.0)

    class CoreComesAndGoes(DistributedCoordinator):
        async def run(self) -> str:
            return str(await self.wait_for_signal("go", returns=str))

    kept = catalog.workflow_types().pop("core_comes_and_goes")
    try:
        catalog.workflow_types()["core_comes_and_goes"] = kept
        identity = await core.client.submit("core_comes_and_goes")
        catalog.workflow_types().pop("core_comes_and_goes")
        await core.host()
        key = core.connection.keys.workflow(identity)
        await until(lambda: core.connection.call("HEXISTS", key, "unrunnable"))
        catalog.workflow_types()["core_comes_and_goes"] = kept
        await core.entry(identity, j.SignalAwaited)
        assert not await core.connection.call("HEXISTS", key, "unrunnable")
        await asyncio.sleep(2.0)  # more than no_agent_s since its code was missing first
        catalog.workflow_types().pop("core_comes_and_goes")
        await core.hosts[0].executions[identity].stop()
        await until(lambda: core.connection.call("HEXISTS", key, "unrunnable"))
        assert await core.journal(identity, j.Escalated) == []
        catalog.workflow_types()["core_comes_and_goes"] = kept
        await core.client.signal(identity, "go", "x")
        assert await core.client.result(identity, timeout_s=10) == "x"
    finally:
        catalog.workflow_types().pop("core_comes_and_goes", None)


async def test_a_task_that_waits_for_one_instance_is_not_queued_for_all(core: World, tune: Tune) -> None:
    core.config = tune(no_agent_s=1.0, agent_heartbeat_s=0.1)
    held, seen = asyncio.Event(), list[str]()

    async def work(task: Task, number: int) -> str:
        seen.append(f"able {number}")
        await held.wait()
        return "done"

    async def other(task: Task, number: int) -> str:
        seen.append(f"other {number}")
        return "wrong"

    class CoreNeedsOne(DistributedCoordinator):
        async def run(self) -> list[Any]:
            return list(
                await self.gather(
                    *(
                        self.dispatch_task("core_one", n, requires={"kind": "nda"}, timeout_s=4, returns=str)
                        for n in range(6)
                    )
                )
            )

    await core.host()
    able = Handler("core_one", work)
    await core.agents(handlers=[able], capabilities={"core_one": {"kind": ["nda"]}}, concurrency=1, name="able")
    await core.agents(handlers=[Handler("core_one", other)], name="other")
    await until(lambda: core.hosts[0].registry.capable("core_one", {"kind": "nda"}))
    identity = await core.client.submit("core_needs_one")
    await until(lambda: bool(seen))
    keys = core.connection.keys
    able_id = next(view.id for view in await core.client.inspect.agents() if view.id.startswith("able"))
    queues = [keys.agent_queue("core_one"), keys.unrouted("core_one"), keys.instance_queue("core_one", able_id)]
    await asyncio.sleep(3.5)  # several looks at each
    waiting = sum([await core.connection.call("XLEN", queue) for queue in queues])
    assert waiting <= 6
    held.set()
    assert await core.client.result(identity, timeout_s=20) == ["done"] * 6
    assert not [one for one in seen if one.startswith("other")]


async def test_a_lost_task_for_one_instance_is_queued_for_it_again(core: World, tune: Tune) -> None:
    core.config = tune(no_agent_s=1.0, agent_heartbeat_s=0.1)
    held = asyncio.Event()

    async def work(task: Task, number: int) -> str:
        if number == 0:
            await held.wait()
        return "done"

    class CoreLosesOne(DistributedCoordinator):
        async def run(self) -> list[Any]:
            asked = (
                self.dispatch_task("core_lost", n, requires={"kind": "nda"}, timeout_s=30, returns=str)
                for n in range(2)
            )
            return list(await self.gather(*asked))

    await core.host()
    await core.agents(handlers=[Handler("core_lost", work, capabilities={"kind": ["nda"]})], concurrency=1, name="able")
    await until(lambda: core.hosts[0].registry.capable("core_lost", {"kind": "nda"}))
    identity = await core.client.submit("core_loses_one")
    able_id = (await core.client.inspect.agents())[0].id
    queue = core.connection.keys.instance_queue("core_lost", able_id)
    await until(lambda: core.connection.call("XLEN", queue))
    await core.entry(identity, j.Attempt, 2)
    await asyncio.sleep(0.5)  # both are in the queue, the first is taken
    await core.connection.call("XTRIM", queue, "MAXLEN", 0)
    held.set()
    assert await core.client.result(identity, timeout_s=20) == ["done", "done"]


async def test_a_deadline_does_not_turn_a_broken_workflow_that_was_cancelled_before(
    core: World, scripts: Counter[str]
) -> None:
    class CoreDeadline(DistributedCoordinator):
        type_name = "core_deadline"

        async def run(self) -> int:
            self.compensate("core_undo", "one")
            return int(await self.dispatch_task("core_add", [1], returns=int))

    await core.host()
    identity = await core.client.submit("core_deadline", deadline_s=1.5)
    await core.entry(identity, j.Attempt)
    await core.client.cancel(identity, actor="anna")
    await core.entry(identity, j.Attempt, 2)  # its compensation waits: nobody does it

    class CoreDeadlineChanged(DistributedCoordinator):
        type_name = "core_deadline"

        async def run(self) -> str:
            return str(await self.wait_for_signal("never", returns=str))

    await core.hand_over(identity)
    found = await core.escalation(identity)
    assert found.reason is Reason.WORKFLOW_CODE_CHANGED
    await asyncio.sleep(1.6)  # the deadline passes
    before = scripts.total()
    await asyncio.sleep(1.0)  # there is no event for "nothing turns"
    assert scripts.total() - before < 100  # it was thousands
    await core.decide(found, "fail")
    await core.state(identity, WorkflowState.FAILED)


async def test_a_journal_that_a_timer_fills_goes_to_people(core: World, tune: Tune) -> None:
    core.config = tune(journal_entries=5)

    class CoreSleeps(DistributedCoordinator):
        async def run(self) -> None:
            while True:
                await self.sleep(0.05)

    await core.host()
    identity = await core.client.submit("core_sleeps")
    found = await core.escalation(identity)
    assert "is full (5 entries)" in found.question
    assert isinstance((await core.journal(identity))[-2], j.TimerSet)  # what did not fit was that it fired
    await core.client.cancel(identity)
    await core.state(identity, WorkflowState.CANCELLED)


async def test_a_client_that_asks_often_is_told_once(core: World) -> None:
    identity = await core.client.submit("core_idle")
    for _ in range(5):
        with pytest.raises(ResultPending):
            await core.client.result(identity, timeout_s=0.01)
    waiters = await core.connection.call("HGET", core.connection.keys.workflow(identity), "waiters")
    assert len(waiters.split()) == 1


@pytest.mark.parametrize("deadline_s", [-1.0, MOST_DEADLINE_S + 1.0, 1.8e12, float("nan"), float("inf")])
async def test_a_deadline_that_is_none_is_refused(core: World, deadline_s: float) -> None:
    with pytest.raises(InvalidPayload, match="A deadline is"):
        await core.client.submit("core_idle", deadline_s=deadline_s)
