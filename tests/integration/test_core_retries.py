"""Attempts: retried with backoff, bounded, and then handed over exactly once."""

from __future__ import annotations

import msgspec
import pytest

from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.client import WorkflowFailed
from coordination.domain import EscalationState, Reason, StepState, WorkflowState
from coordination.errors import DecisionConflict, EscalationNotFound
from tests.core_app.agents import Order, calls
from tests.core_harness import World, soon, until


class CoreFlaky(DistributedCoordinator):
    async def run(self, order: Order) -> int:
        return await self.dispatch_task("core_flaky", order)


class CoreShape(DistributedCoordinator):
    async def run(self, value: int) -> int:
        return await self.dispatch_task("core_shape", value)


async def escalated(core: World, order: Order) -> str:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_flaky", order)
    await core.escalation(identity)
    return identity


async def test_it_is_tried_again_until_it_succeeds(core: World) -> None:
    await core.host()
    await core.agents()
    assert await core.run("core_flaky", Order(fails=3)) == 42
    assert list(calls.values()) == [4]


async def test_after_the_last_attempt_there_is_exactly_one_escalation(core: World) -> None:
    identity = await escalated(core, Order(fails=99))
    found = await core.escalation(identity)
    assert (found.reason, found.attempts, found.state) == (Reason.MAX_RETRIES_EXCEEDED, 4, EscalationState.OPEN)
    assert [error.message for error in found.errors] == [f"attempt {number} failed" for number in (1, 2, 3, 4)]
    assert found.input == msgspec.to_builtins(Order(fails=99))
    assert found.input_schema and found.output_schema
    entries = await core.journal(identity)
    assert sum(isinstance(entry, j.Escalated) for entry in entries) == 1
    assert [entry.number for entry in entries if isinstance(entry, j.Attempt)] == [1, 2, 3, 4]
    snapshot = await core.client.get(identity)
    assert (snapshot.state, snapshot.open_escalations) == (WorkflowState.NEEDS_HUMAN, 1)
    assert (await core.steps(identity))["1"].state is StepState.ESCALATED


async def test_a_final_error_escalates_at_once(core: World) -> None:
    identity = await escalated(core, Order(fails=99, final=True))
    found = await core.escalation(identity)
    assert (found.reason, found.attempts) == (Reason.FINAL_ERROR, 1)
    assert found.errors[0].details == {"attempt": 1} and found.errors[0].message == "no such page"


async def test_a_result_of_another_shape_escalates(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_shape", 13)
    found = await core.escalation(identity)
    assert {error.kind for error in found.errors} == {"InvalidResult"} and "int" in found.errors[-1].message


async def test_retry_gives_a_fresh_set_of_attempts(core: World) -> None:
    identity = await escalated(core, Order(fails=6))
    assert await core.decide(await core.escalation(identity), "retry") == "accepted"
    assert await core.client.result(identity, timeout_s=10) == 42
    assert [entry.number for entry in await core.journal(identity, j.Attempt)] == [1, 2, 3, 4, 5, 6, 7]
    snapshot = await core.client.get(identity)
    assert snapshot.open_escalations == 0


async def test_retries_used_up_again_escalate_again(core: World) -> None:
    identity = await escalated(core, Order(fails=99))
    first = await core.escalation(identity)
    await core.decide(first, "retry")
    second = await core.escalation(identity, 2)
    assert second.id != first.id and second.attempts == 8 and second.state is EscalationState.OPEN


async def test_edit_runs_with_the_new_input(core: World) -> None:
    identity = await escalated(core, Order(fails=99))
    await core.decide(await core.escalation(identity), "edit", {"fails": 0, "answer": 7})
    assert await core.client.result(identity, timeout_s=10) == 7


async def test_supply_is_the_result(core: World) -> None:
    identity = await escalated(core, Order(fails=99))
    await core.decide(await core.escalation(identity), "supply", 11)
    assert await core.client.result(identity, timeout_s=10) == 11
    assert sum(calls.values()) == 4


async def test_a_supplied_result_of_another_shape_is_asked_for_again(core: World) -> None:
    identity = await escalated(core, Order(fails=99))
    await core.decide(await core.escalation(identity), "supply", "eleven")
    second = await core.escalation(identity, 2)
    assert "does not fit" in second.errors[-1].message
    await core.decide(second, "supply", 11)
    assert await core.client.result(identity, timeout_s=10) == 11


async def test_skip_gives_the_default(core: World) -> None:
    identity = await escalated(core, Order(fails=99))
    await core.decide(await core.escalation(identity), "skip", 0)
    assert await core.client.result(identity, timeout_s=10) == 0
    assert (await core.steps(identity))["1"].state is StepState.SKIPPED


class CoreSkipped(DistributedCoordinator):
    async def run(self, order: Order) -> str:
        return repr(await self.dispatch_task("core_flaky", order))


async def test_skip_without_a_default_gives_none(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_skipped", Order(fails=99))
    await core.decide(await core.escalation(identity), "skip")
    assert await core.client.result(identity, timeout_s=10) == "None"


async def test_fail_raises_in_run(core: World) -> None:
    identity = await escalated(core, Order(fails=99))
    await core.decide(await core.escalation(identity), "fail")
    with pytest.raises(WorkflowFailed, match="anna ended step 1 as failed"):
        await core.client.result(identity, timeout_s=10)
    assert (await core.client.get(identity)).state is WorkflowState.FAILED


async def test_one_decision_wins_and_is_repeated_to_itself(core: World) -> None:
    identity = await escalated(core, Order(fails=99))
    found = await core.escalation(identity)
    assert await core.decide(found, "supply", 1, "d1") == "accepted"
    assert await core.decide(found, "supply", 1, "d1") == "repeated"
    with pytest.raises(DecisionConflict, match="resolved by anna"):
        await core.decide(found, "supply", 2, "d2")
    assert await core.client.result(identity, timeout_s=10) == 1
    assert await core.decide(found, "supply", 1, "d1") == "repeated"


async def test_a_decision_about_a_version_that_has_passed_is_refused(core: World) -> None:
    identity = await escalated(core, Order(fails=99))
    found = await core.escalation(identity)
    found.version = 7
    with pytest.raises(DecisionConflict):
        await core.decide(found, "supply", 1)
    assert (await core.client.get(identity)).open_escalations == 1


async def test_a_decision_about_nothing_is_refused(core: World) -> None:
    with pytest.raises(EscalationNotFound):
        await core.client.commands.decide(
            "w1~1~1", version=1, action="retry", actor="anna", decision_id="d", value=None
        )


async def test_retry_now_ends_the_backoff(core: World, tune) -> None:  # type: ignore[no-untyped-def]
    core.config = tune(backoff_s=60, backoff_max_s=60)
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_flaky", Order(fails=1))
    await core.entry(identity, j.Erred)
    await until(lambda: _in_backoff(core, identity))
    assert (await core.steps(identity))["1"].next_retry_ms
    await core.client.commands.retry_now(identity, "1", "anna")
    assert await soon(core.client.result(identity, timeout_s=5)) == 42


async def _in_backoff(core: World, identity: str) -> bool:
    return (await core.client.get(identity)).retrying == 1


async def test_workflows_that_wait_for_people_do_not_hold_up_others(core: World) -> None:
    await escalated(core, Order(fails=99))
    assert await core.run("core_flaky", Order()) == 42
