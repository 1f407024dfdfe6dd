"""Pausing, restarting, rerouting and terminating workflows while they live."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.domain import StepState, WorkflowState
from coordination.errors import BadRequest, WorkflowCancelled, WorkflowFinished
from tests.core_app import agents as tasks
from tests.core_harness import World, soon, until
from tests.integration.conftest import Tune


class SteerChain(DistributedCoordinator):
    """Two values, a task that waits, and one after it."""

    async def run(self, name: str) -> list[Any]:
        one = await self.dispatch_task("core_add", [1])
        two = await self.dispatch_task("core_wait", name)
        three = await self.dispatch_task("core_add", [one, 2])
        return [one, two, three]


class SteerSleep(DistributedCoordinator):
    async def run(self) -> str:
        await self.sleep(0.3)
        return await self.wait_for_signal("go", returns=str)


class SteerUndo(DistributedCoordinator):
    async def run(self, name: str) -> None:
        self.compensate("core_undo", "kept")
        await self.dispatch_task("core_wait", name)


class SteerFlaky(DistributedCoordinator):
    async def run(self, name: str) -> int:
        await self.dispatch_task("core_add", [5])
        await self.start_child("steer_undo", name, wait=False)
        return await self.dispatch_task("core_flaky", tasks.Order(fails=1, final=True), max_retries=0)


async def test_a_paused_workflow_keeps_what_ends_and_begins_nothing(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("steer_chain", "p1")
    await soon(tasks.event(tasks.started, "p1").wait())
    assert await core.client.commands.pause(identity, actor="anna", reason="look")
    assert not await core.client.commands.pause(identity, actor="ben")
    snapshot = await core.client.get(identity)
    assert (snapshot.state, snapshot.paused_by, snapshot.paused_reason) == (WorkflowState.PAUSED, "anna", "look")
    tasks.event(tasks.release, "p1").set()
    await core.entry(identity, j.Settled, count=2)
    await core.host("second")  # and a look at it by another host changes nothing
    await asyncio.sleep(0.3)
    assert len(await core.journal(identity, j.Attempt)) == 2
    assert await core.client.commands.resume(identity, actor="anna")
    assert await core.client.result(identity, timeout_s=10) == [1, "p1", 3]
    assert not (await core.client.get(identity)).paused_by


async def test_a_task_that_waits_in_its_queue_is_not_begun_while_paused(core: World) -> None:
    await core.host()
    identity = await core.client.submit("steer_chain", "p2")
    await core.entry(identity, j.Attempt)
    await core.client.commands.pause(identity, actor="anna")
    await core.agents()
    queue = core.connection.keys.agent_queue("core_add")

    async def dropped() -> bool:
        return not await core.connection.call("XLEN", queue)

    await until(dropped)
    assert not await core.journal(identity, j.Settled)
    await core.client.commands.resume(identity, actor="anna")
    await core.entry(identity, j.Settled)
    await core.client.commands.terminate(identity, actor="anna")


async def test_timers_fire_at_the_resume_and_a_pause_outlives_parking(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.1)
    await core.host()
    identity = await core.client.submit("steer_sleep")
    await core.entry(identity, j.TimerSet)
    await core.client.commands.pause(identity, actor="anna")

    async def parked() -> bool:
        return not core.held(identity)

    await until(parked)
    await asyncio.sleep(0.4)
    assert not await core.journal(identity, j.TimerFired)
    await core.client.signal(identity, "go", "on")
    assert (await core.client.get(identity)).state is WorkflowState.PAUSED
    await core.client.commands.resume(identity, actor="anna")
    assert await core.client.result(identity, timeout_s=10) == "on"


async def test_a_paused_workflow_can_be_cancelled_and_meets_its_deadline(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("steer_undo", "c1")
    await soon(tasks.event(tasks.started, "c1").wait())
    await core.client.commands.pause(identity, actor="anna")
    await core.client.cancel(identity, actor="anna")
    await core.state(identity, WorkflowState.CANCELLED)
    assert tasks.undone == ["kept"]
    late = await core.client.submit("steer_sleep", deadline_s=1)
    await core.client.commands.pause(late, actor="anna")
    await core.state(late, WorkflowState.FAILED)


async def test_a_restart_keeps_what_came_before_and_stops_what_runs(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("steer_chain", "r1")
    await soon(tasks.event(tasks.started, "r1").wait())
    preview = await core.client.inspect.restart_preview(identity, "2")
    assert preview is not None and preview.refused == "" and preview.generation == 1
    assert [step.id for step in preview.kept] == ["1"]
    assert [(step.id, step.has_run) for step in preview.again] == [("2", True)]
    tasks.event(tasks.started, "r1").clear()
    assert await core.client.commands.restart(identity, "2", actor="anna", request_id="q") == 1
    assert await core.client.commands.restart(identity, "2", actor="anna", request_id="q") == 1  # once for each request
    await soon(tasks.event(tasks.started, "r1").wait())

    async def stopped() -> bool:
        return tasks.stopped == ["r1"]

    await until(stopped)
    tasks.event(tasks.release, "r1").set()
    assert await core.client.result(identity, timeout_s=10) == [1, "r1", 3]
    assert tasks.calls[f"{identity}:1:0"] == 1 and tasks.calls[f"{identity}:3:1"] == 1
    steps = await core.steps(identity)
    assert steps["2"].generation == 1 and [view.state for view in steps["2"].earlier] == [StepState.CANCELLED]
    assert (await core.client.get(identity)).generation == 1
    with pytest.raises(WorkflowFinished):
        await core.client.commands.restart(identity, "2", actor="anna")


async def test_a_restart_by_decision_withdraws_and_cancels_what_it_forgets(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("steer_flaky", "r2")
    found = await core.escalation(identity)
    child = (await core.journal(identity, j.ChildStarted))[0].child_id
    with pytest.raises(BadRequest, match="no step"):
        await core.decide(found, "restart", {"step": "9"})
    with pytest.raises(BadRequest, match="names its step"):
        await core.decide(found, "restart", {})
    await core.decide(found, "restart", {"step": "2"})
    second = await core.escalation(identity, count=2)
    assert second.id != found.id and (await core.client.get(identity)).open_escalations == 1
    await core.state(child, WorkflowState.CANCELLED)
    children = await core.journal(identity, j.ChildStarted)
    assert children[0].child_id != children[1].child_id
    await core.client.commands.restart(identity, "1", actor="anna")
    third = await core.escalation(identity, count=3)
    withdrawn = await core.client.inspect.escalation(second.id)
    assert withdrawn is not None and withdrawn.state == "withdrawn"
    assert (await core.client.get(identity)).open_escalations == 1
    await core.decide(third, "supply", 7, "d3")
    assert await core.client.result(identity, timeout_s=10) == 7
    tasks.event(tasks.release, "r2").set()


async def test_a_restart_of_a_paused_workflow_stays_paused(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("steer_chain", "r3")
    await soon(tasks.event(tasks.started, "r3").wait())
    await core.client.commands.pause(identity, actor="anna")
    await core.client.commands.restart(identity, "1", actor="anna")
    await core.entry(identity, j.TakenUp)
    await asyncio.sleep(0.2)
    assert (await core.client.get(identity)).state is WorkflowState.PAUSED
    assert len(await core.journal(identity, j.Attempt)) == 2
    tasks.event(tasks.release, "r3").set()
    await core.client.commands.resume(identity, actor="anna")
    assert await core.client.result(identity, timeout_s=10) == [1, "r3", 3]


async def test_a_terminated_workflow_ends_at_once_and_undoes_nothing(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("steer_undo", "t1")
    await soon(tasks.event(tasks.started, "t1").wait())
    await core.client.commands.terminate(identity, actor="anna", reason="enough")
    with pytest.raises(WorkflowCancelled, match="Terminated by anna"):
        await core.client.result(identity, timeout_s=10)

    async def stopped() -> bool:
        return tasks.stopped == ["t1"]

    await until(stopped)
    assert tasks.undone == []


async def test_a_task_is_tried_again_on_the_agent_that_was_chosen(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("steer_flaky", "a1")
    found = await core.escalation(identity)
    other = await core.agents("core_flaky", name="other")
    with pytest.raises(BadRequest, match="names an agent"):
        await core.decide(found, "reroute", {})
    await asyncio.sleep(1.2)  # the host's look at the registry
    await core.decide(found, "reroute", {"agent": "other"})
    assert await core.client.result(identity, timeout_s=10) == 42
    tasks.event(tasks.release, "a1").set()  # its child would keep the worker from stopping
    settled = (await core.journal(identity, j.Settled))[-1]
    assert settled.agent == other.instance


async def test_an_agent_that_has_left_is_told_of(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("steer_flaky", "a2")
    await core.decide(await core.escalation(identity), "reroute", {"agent": "nobody"})
    second = await core.escalation(identity, count=2)
    assert second.reason == "no_capable_agent" and "'nobody'" in second.errors[-1].message
    await core.decide(second, "retry", None, "d2")
    assert await core.client.result(identity, timeout_s=10) == 42
    tasks.event(tasks.release, "a2").set()  # its child would keep the worker from stopping


async def test_a_task_is_tried_again_where_the_capability_is(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("steer_flaky", "a3")
    found = await core.escalation(identity)
    able = await core.agents("core_flaky", name="able", capabilities={"core_flaky": {"kind": ["nda"]}})
    await core.decide(found, "reroute", {"requires": {"kind": "nda"}})
    assert await core.client.result(identity, timeout_s=10) == 42
    tasks.event(tasks.release, "a3").set()  # its child would keep the worker from stopping
    assert (await core.journal(identity, j.Settled))[-1].agent == able.instance


async def test_nothing_before_compensations_that_have_begun_is_kept(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("steer_fails")
    await core.entry(identity, j.Attempt, where=lambda entry: entry.undoes)
    with pytest.raises(BadRequest, match="compensations have begun"):
        await core.client.commands.restart(identity, "1", actor="anna")
    await core.client.commands.terminate(identity, actor="anna")
    await core.state(identity, WorkflowState.CANCELLED)


class SteerFails(DistributedCoordinator):
    async def run(self) -> None:
        self.compensate("core_nobody")
        await self.dispatch_task("core_add", [1])
        raise ValueError("no such order")
