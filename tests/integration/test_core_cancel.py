"""Cancelling, deadlines, and undoing what was done."""

from __future__ import annotations

import asyncio

import pytest

from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.client import WorkflowFailed
from coordination.domain import EscalationState, StepState, WorkflowState
from coordination.errors import DecisionConflict, WorkflowCancelled, WorkflowFinished, WorkflowNotFound
from tests.core_app.agents import Order, calls, event, release, started, stopped, undone
from tests.core_harness import World, soon, until
from tests.integration.conftest import Tune


class CoreHolds(DistributedCoordinator):
    async def run(self, name: str) -> str:
        return str(await self.dispatch_task("core_wait", name))


class CoreSaga(DistributedCoordinator):
    async def run(self, how: str) -> int:
        for name in ("flight", "hotel", "car"):
            await self.dispatch_task("core_add", [1])
            self.compensate("core_undo", name)
        if how == "fails":
            raise ValueError("no more seats")
        if how == "exits":
            raise SystemExit(2)
        if how == "waits":
            await self.wait_for_signal("go")
        return 3


class CoreStubborn(DistributedCoordinator):
    async def run(self) -> str:
        try:
            await self.wait_for_signal("go")
        except WorkflowCancelled:
            await self.dispatch_task("core_add", [1])
            return "closed the books"
        return "?"


class CoreAsks(DistributedCoordinator):
    async def run(self, order: Order) -> None:
        await self.gather(
            self.dispatch_task("core_flaky", order), self.ask_human("Well?"), self.dispatch_task("core_flaky", order)
        )


async def test_cancelling_reaches_the_running_handler(core: World) -> None:
    await core.host()
    worker = await core.agents()
    identity = await core.client.submit("core_holds", "a")
    await soon(event(started, "a").wait())
    await core.client.cancel(identity, actor="anna", reason="wrong document")
    with pytest.raises(WorkflowCancelled, match=r"anna.*wrong document"):
        await core.client.result(identity, timeout_s=5)
    await until(lambda: stopped == ["a"], 8)
    await until(lambda: not worker.ledger.running)
    snapshot = await core.client.get(identity)
    assert snapshot.state is WorkflowState.CANCELLED and snapshot.cancel_requested
    assert (await core.steps(identity))["1"].state is StepState.CANCELLED


async def test_a_result_after_the_cancellation_changes_nothing(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_holds", "b")
    await soon(event(started, "b").wait())
    await core.client.cancel(identity)
    await core.state(identity, WorkflowState.CANCELLED)
    event(release, "b").set()  # a result that comes any sooner is accepted into the journal, and changes nothing either
    queue = core.client.connection.keys.agent_queue("core_wait")

    async def reported() -> bool:
        return not await core.client.connection.call("XLEN", queue)

    await until(reported)
    assert not await core.journal(identity, j.Settled)


async def test_a_workflow_cancelled_before_it_began_does_nothing(core: World) -> None:
    identity = await core.client.submit("core_saga", "plain")
    await core.client.cancel(identity)
    await core.host()
    await core.agents()
    await core.state(identity, WorkflowState.CANCELLED)
    assert not calls and not undone


async def test_cancelling_twice_or_too_late(core: World) -> None:
    await core.host()
    with pytest.raises(WorkflowNotFound):
        await core.client.cancel("w0")
    identity = await core.client.submit("core_holds", "c")
    await asyncio.gather(*(core.client.cancel(identity) for _ in range(5)))
    await core.state(identity, WorkflowState.CANCELLED)
    assert len(await core.journal(identity, j.CancelRequested)) == 1
    await core.client.cancel(identity)  # accepted before: nothing changes
    done = await core.client.submit("core_saga", "plain")
    await core.agents()
    await core.client.result(done, timeout_s=5)
    with pytest.raises(WorkflowFinished):
        await core.client.cancel(done)


@pytest.mark.parametrize("how", ["fails", "exits"])
async def test_a_failure_is_undone_in_reverse(core: World, how: str) -> None:
    await core.host()
    await core.agents()
    with pytest.raises(WorkflowFailed):
        await core.run("core_saga", how)
    assert undone == ["car", "hotel", "flight"]


async def test_success_undoes_nothing(core: World) -> None:
    await core.host()
    await core.agents()
    assert await core.run("core_saga", "plain") == 3
    assert undone == []


async def test_a_cancellation_is_undone_in_reverse(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_saga", "waits")
    await core.entry(identity, j.SignalAwaited)
    await core.client.cancel(identity)
    await core.state(identity, WorkflowState.CANCELLED)
    assert undone == ["car", "hotel", "flight"]


async def test_undoing_survives_a_takeover(core: World) -> None:
    host = await core.host()
    identity = await core.client.submit("core_saga", "waits")
    async with _agents_for(core, identity):
        await core.client.cancel(identity)
        await until(lambda: _attempts(core, identity, "core_undo"))
    await host.executions[identity].stop()
    await core.entry(identity, j.TakenUp)
    await core.agents()
    await core.state(identity, WorkflowState.CANCELLED)
    assert undone == ["car", "hotel", "flight"]


def _agents_for(core: World, identity: str):  # type: ignore[no-untyped-def]
    """Agents for the forward steps only."""
    import contextlib

    from agents import AgentWorker
    from tests.agent_tasks import serving

    @contextlib.asynccontextmanager
    async def block():  # type: ignore[no-untyped-def]
        async with serving(AgentWorker(["core_add"], config=core.config)):
            await core.entry(identity, j.SignalAwaited)
            yield

    return block()


async def _attempts(core: World, identity: str, task_type: str) -> int:
    return sum(entry.task_type == task_type for entry in await core.journal(identity, j.Attempt))


async def test_a_compensation_that_people_end_does_not_keep_the_others_from_running(core: World) -> None:
    await core.host()
    await core.agents()

    class CoreSagaBroken(DistributedCoordinator):
        async def run(self) -> None:
            self.compensate("core_undo", "first")
            self.compensate("core_flaky", Order(fails=99, final=True))
            self.compensate("core_undo", "last")
            raise ValueError("no more seats")

    identity = await core.client.submit("core_saga_broken")
    await core.decide(await core.escalation(identity), "fail")
    with pytest.raises(WorkflowFailed, match="no more seats"):
        await core.client.result(identity, timeout_s=5)
    assert undone == ["last", "first"]


async def test_run_may_end_in_its_own_way(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_stubborn")
    await core.entry(identity, j.SignalAwaited)
    await core.client.cancel(identity)
    assert await core.client.result(identity, timeout_s=5) == "closed the books"


async def test_cancelling_withdraws_what_people_were_asked(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_asks", Order(fails=99, final=True))
    found = [await core.escalation(identity, number) for number in (1, 2, 3)]
    await core.client.cancel(identity)
    await core.state(identity, WorkflowState.CANCELLED)
    for each in found:
        now = await core.client.inspect.escalation(each.id)
        assert now is not None and now.state is EscalationState.WITHDRAWN
        with pytest.raises(DecisionConflict):
            await core.decide(each, "skip", None, each.id)
    assert (await core.client.get(identity)).open_escalations == 0
    for shard in range(core.config.shards):
        assert await core.connection.call("XLEN", core.connection.keys.escalation_queue(shard)) == 0


async def test_a_cancellation_at_any_moment_ends_the_workflow(core: World) -> None:
    await core.host()
    await core.agents()
    identities = [await core.client.submit("core_saga", "plain") for _ in range(60)]

    async def cancel(number: int, identity: str) -> None:
        await asyncio.sleep(number * 0.003)
        try:
            await core.client.cancel(identity)
        except WorkflowFinished:
            pass

    await asyncio.gather(*(cancel(number, identity) for number, identity in enumerate(identities)))

    async def ended(identity: str) -> bool:
        return (await core.client.get(identity)).state.is_final

    for identity in identities:
        await until(lambda identity=identity: ended(identity))
    assert not core.hosts[0].executions


# --- deadlines ---------------------------------------------------------------------


async def test_a_deadline_fails_the_workflow(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_holds", "d", deadline_s=0.4)
    with pytest.raises(WorkflowFailed, match="Its deadline has passed") as caught:
        await core.client.result(identity, timeout_s=5)
    assert caught.value.error is not None and caught.value.error.kind == "DeadlineExceeded"


async def test_a_deadline_passes_while_parked(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.1)
    await core.host()
    identity = await core.client.submit("core_saga", "waits", deadline_s=1.0)
    await core.agents()
    await core.state(identity, WorkflowState.WAITING)
    with pytest.raises(WorkflowFailed, match="Its deadline has passed"):
        await core.client.result(identity, timeout_s=5)
    assert undone == ["car", "hotel", "flight"]


class CoreShort(DistributedCoordinator):
    deadline_s = 0.3

    async def run(self) -> None:
        await self.wait_for_signal("go")


async def test_a_type_may_have_a_deadline(core: World) -> None:
    await core.host()
    with pytest.raises(WorkflowFailed, match="deadline"):
        await core.run("core_short")
