"""Workflows that start others."""

from __future__ import annotations

import pytest

from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.client import WorkflowFailed
from coordination.domain import StepState, WorkflowState
from coordination.errors import ChildFailed, WorkflowCancelled
from tests.core_app.agents import Order
from tests.core_harness import World
from tests.integration.conftest import Tune


class CoreChild(DistributedCoordinator):
    async def run(self, order: Order) -> int:
        return await self.dispatch_task("core_flaky", order)


class CoreParent(DistributedCoordinator):
    async def run(self, numbers: list[int]) -> int:
        return sum(await self.gather(*(self.start_child(CoreChild, Order(answer=number)) for number in numbers)))


class CoreDetached(DistributedCoordinator):
    async def run(self) -> str:
        return str(await self.start_child("core_child", Order(answer=5), wait=False))


class CoreCareful(DistributedCoordinator):
    async def run(self, child: str) -> str:
        try:
            return str(await self.start_child(child, None))
        except ChildFailed as error:
            return f"{type(error).__name__}: {error}"


class CoreBroken(DistributedCoordinator):
    async def run(self) -> None:
        raise ValueError("out of paper")


class CoreWaits(DistributedCoordinator):
    async def run(self) -> int:
        return int(await self.wait_for_signal("go", returns=int))


class CoreGrandparent(DistributedCoordinator):
    async def run(self) -> str:
        return str(await self.start_child("core_careful", "core_waits"))


async def child_of(core: World, identity: str) -> str:
    entry = await core.entry(identity, j.ChildStarted)
    return str(entry.child_id)


async def test_children_run_side_by_side_and_give_their_results(core: World) -> None:
    await core.host()
    await core.agents()
    assert await core.run("core_parent", [1, 2, 3]) == 6


async def test_a_child_that_is_not_waited_for_goes_on_alone(core: World) -> None:
    await core.host()
    await core.agents()
    child = await core.run("core_detached")
    assert await core.client.result(child, timeout_s=5) == 5


async def test_a_failing_child_raises_in_its_parent(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_careful", "core_broken")
    result = await core.client.result(identity, timeout_s=5)
    child = await child_of(core, identity)
    assert result == f"ChildFailed: Child {child} ended failed: out of paper"
    assert (await core.client.get(child)).parent_id == ""  # confirmed, so it may be archived
    assert (await core.steps(identity))["1"].state is StepState.FAILED


async def test_an_unknown_child_type_fails_the_step_and_survives_a_replay(core: World) -> None:
    await core.host()

    class CoreUnknownChild(DistributedCoordinator):
        async def run(self) -> str:
            try:
                await self.start_child("core_chidl", None)
            except ChildFailed as error:
                await self.wait_for_signal("go")
                return str(error)
            return "?"

    identity = await core.client.submit("core_unknown_child")
    await core.entry(identity, j.SignalAwaited)
    await core.hosts[0].executions[identity].stop()
    await core.entry(identity, j.TakenUp)
    await core.client.signal(identity, "go")
    assert "Did you mean 'core_child'?" in await core.client.result(identity, timeout_s=5)


async def test_cancelling_reaches_children_and_theirs(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_grandparent")
    child = await child_of(core, identity)
    grandchild = await child_of(core, child)
    await core.entry(grandchild, j.SignalAwaited)
    await core.client.cancel(identity, actor="anna")
    for each in (identity, child, grandchild):
        assert (await core.state(each, WorkflowState.CANCELLED)).error
    with pytest.raises(WorkflowCancelled, match="Its parent was cancelled"):
        await core.client.result(grandchild, timeout_s=5)


async def test_a_deadline_reaches_children_as_a_cancellation(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_careful", "core_waits", deadline_s=0.3)
    child = await child_of(core, identity)
    with pytest.raises(WorkflowFailed, match="deadline"):
        await core.client.result(identity, timeout_s=5)
    await core.state(child, WorkflowState.CANCELLED)


async def test_a_cancelled_child_raises_in_its_parent(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_careful", "core_waits")
    child = await child_of(core, identity)
    await core.client.cancel(child, actor="anna")
    assert "ended cancelled" in await core.client.result(identity, timeout_s=5)


async def test_a_parent_parks_while_its_child_works(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.1)
    await core.host()
    identity = await core.client.submit("core_careful", "core_waits")
    child = await child_of(core, identity)
    await core.state(identity, WorkflowState.WAITING)
    await core.client.signal(child, "go", 9)
    assert await core.client.result(identity, timeout_s=5) == "9"
