"""Tasks that nobody takes, that take too long, and that are delivered more than once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents import AgentWorker
from coordination import DistributedCoordinator, tasks
from coordination import journal as j
from coordination.domain import Reason, StepState
from tests.agent_tasks import serving
from tests.core_app.agents import Order, calls, event, release, started
from tests.core_harness import World, soon, until
from tests.integration.conftest import Tune


class CoreHold(DistributedCoordinator):
    async def run(self, options: dict[str, Any]) -> str:
        return str(await self.dispatch_task("core_wait", "held", **options))


class CoreLong(DistributedCoordinator):
    timeout_s = 0.5

    async def run(self, parts: int) -> int:
        return int(await self.dispatch_task("core_long", parts, timeout_s=1.2))


class CoreUnknownTask(DistributedCoordinator):
    async def run(self) -> None:
        await self.dispatch_task("core_nobody", None, timeout_s=20)


class CoreRequires(DistributedCoordinator):
    async def run(self, kind: str) -> Any:
        return await self.dispatch_task("sample_echo", {"name": "x"}, requires={"kind": kind}, timeout_s=20)


async def test_a_task_that_nobody_can_do_goes_to_people(core: World, tune: Tune) -> None:
    core.config = tune(no_agent_s=0.4)
    await core.host()
    identity = await core.client.submit("core_unknown_task")
    found = await core.escalation(identity, within_s=5)
    assert found.reason is Reason.NO_CAPABLE_AGENT and "core_nobody" in found.errors[-1].message
    assert found.attempts == 1


async def test_a_capability_that_nobody_has_goes_to_people(core: World, tune: Tune) -> None:
    import tests.agent_samples  # noqa: F401

    core.config = tune(no_agent_s=0.4)
    await core.agents("sample_echo")
    await core.host()
    identity = await core.client.submit("core_requires", "will")
    found = await core.escalation(identity, within_s=6)
    assert found.reason is Reason.NO_CAPABLE_AGENT and "kind = will" in found.errors[-1].message
    assert (await core.run("core_requires", "nda"))["title"] == "x"


async def test_retry_after_an_agent_was_started(core: World, tune: Tune) -> None:
    core.config = tune(no_agent_s=0.3)
    await core.host()
    identity = await core.client.submit("core_hold", {})
    found = await core.escalation(identity, within_s=5)
    await core.agents()
    event(release, "held").set()
    await core.decide(found, "retry")
    assert await core.client.result(identity, timeout_s=5) == "held"


async def test_a_paused_type_is_no_failure(core: World, tune: Tune) -> None:
    core.config = tune(no_agent_s=0.3)
    await core.client.commands.pause_type("core_wait", "anna", "release day")
    await core.host()
    identity = await core.client.submit("core_hold", {"timeout_s": 0.3, "queue_timeout_s": 0.5})
    await core.entry(identity, j.Attempt)
    await asyncio.sleep(1.5)  # longer than every limit; there is no event for "nothing happened"
    assert not await core.journal(identity, (j.Escalated, j.TimedOut))
    await core.client.commands.resume_type("core_wait", "anna")
    event(release, "held").set()
    await core.agents()
    assert await core.client.result(identity, timeout_s=5) == "held"


async def test_a_backlog_is_no_failure(core: World, tune: Tune) -> None:
    core.config = tune(no_agent_s=0.3)
    worker = await core.agents(concurrency=1)
    await core.host()
    identities = [await core.client.submit("core_hold", {"timeout_s": 5}) for _ in range(3)]
    await until(lambda: worker.ledger.running)
    await asyncio.sleep(1.2)  # there is no event for "nothing happened"
    event(release, "held").set()
    for identity in identities:
        assert await core.client.result(identity, timeout_s=5) == "held"
        assert not await core.journal(identity, j.Escalated)


async def test_a_limit_of_the_queue_goes_to_people(core: World) -> None:
    await core.agents("core_add")
    await core.host()
    identity = await core.client.submit("core_hold", {"queue_timeout_s": 0.3})
    found = await core.escalation(identity, within_s=5)
    assert found.reason is Reason.NO_CAPABLE_AGENT and "within 0.3 s" in found.errors[-1].message


async def test_the_time_limit_runs_from_the_claim(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_hold", {"timeout_s": 0.5, "max_retries": 0})
    await core.entry(identity, j.Attempt)
    await asyncio.sleep(0.7)  # in the queue for longer than the limit
    await core.agents()
    await soon(event(started, "held").wait())
    found = await core.escalation(identity, within_s=6)
    assert found.reason is Reason.MAX_RETRIES_EXCEEDED and found.errors[-1].kind == "Timeout"
    view = (await core.steps(identity))["1"]
    assert view.attempts[0].started_ms - view.attempts[0].queued_ms >= 600


async def test_an_agent_that_is_frozen_is_timed_out_by_the_coordinator(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_hold", {"timeout_s": 0.3, "max_retries": 0})
    await core.entry(identity, j.Attempt)
    delivery = await _deliver(core, "core_wait")
    claim = await tasks.claim(core.connection, delivery, "frozen-1")
    assert claim.outcome == "claimed"
    timed_out = await core.entry(identity, j.TimedOut)
    assert timed_out.agent == "frozen-1"
    found = await core.escalation(identity)
    assert found.errors[-1].kind == "Timeout" and "frozen-1 did not finish" in found.errors[-1].message


async def test_a_late_success_of_a_timed_out_attempt_wins_while_the_next_waits(core: World, tune: Tune) -> None:
    core.config = tune(backoff_s=60, backoff_max_s=60)
    await core.host()
    identity = await core.client.submit("core_hold", {"timeout_s": 0.3})
    await core.entry(identity, j.Attempt)
    delivery = await _deliver(core, "core_wait")
    claim = await tasks.claim(core.connection, delivery, "slow-1")
    await core.entry(identity, j.TimedOut)
    assert await tasks.settle(core.connection, delivery, "slow-1", claim.claimed_ms, b'"late"') == "settled"
    assert await core.client.result(identity, timeout_s=5) == "late"
    assert (await core.steps(identity))["1"].state is StepState.SUCCEEDED


async def test_results_of_all_attempts_at_once_settle_once(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_hold", {"timeout_s": 0.2, "max_retries": 5})
    await core.entry(identity, j.Attempt)
    first = await _deliver(core, "core_wait")
    claim = await tasks.claim(core.connection, first, "a-1")
    second = await _deliver(core, "core_wait")
    await tasks.claim(core.connection, second, "a-2")
    answers = await asyncio.gather(
        *(
            tasks.settle(core.connection, delivery, f"a-{number}", claim.claimed_ms, f'"{number}"'.encode())
            for number in range(50)
            for delivery in (first, second)
        )
    )
    assert answers.count("settled") == 1
    assert len(await core.journal(identity, j.Settled)) == 1
    await core.client.result(identity, timeout_s=5)


async def test_a_long_task_with_progress_is_not_timed_out(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_long", 26)
    await until(lambda: _progress(core, identity), 5)
    assert await core.client.result(identity, timeout_s=8) == 26
    assert len(await core.journal(identity, j.Attempt)) == 1


async def _progress(core: World, identity: str) -> bool:
    view = (await core.steps(identity)).get("1")
    return bool(view and view.state is StepState.RUNNING and view.progress_note)


async def test_the_same_delivery_many_times_has_one_effect(core: World) -> None:
    class CoreOnce(DistributedCoordinator):
        async def run(self) -> int:
            return int(await self.dispatch_task("core_flaky", Order()))

    await core.host()
    identity = await core.client.submit("core_once")
    await core.entry(identity, j.Attempt)
    queue = core.connection.keys.agent_queue("core_flaky")
    [(_, fields)] = await core.connection.call("XRANGE", queue, "-", "+")
    for _ in range(30):
        await core.connection.call("XADD", queue, "*", *fields)
    workers = [AgentWorker(["core_flaky"], config=core.config) for _ in range(2)]
    async with serving(workers[0]), serving(workers[1]):
        assert await core.client.result(identity, timeout_s=5) == 42
        await until(lambda: _empty(core, queue))
    assert list(calls.values()) == [1]


async def _empty(core: World, queue: str) -> bool:
    return not await core.connection.call("XLEN", queue)


async def _deliver(core: World, task_type: str) -> tasks.Delivery:
    """Read one entry as an agent does."""
    from coordination.streams import ensure_group

    queue = core.connection.keys.agent_queue(task_type)
    await ensure_group(core.connection, queue, "agents")
    answer = await core.connection.blocking(
        "XREADGROUP", "GROUP", "agents", "tester", "COUNT", 1, "BLOCK", 4000, "STREAMS", queue, ">"
    )
    assert answer, "nothing was delivered"
    entry_id, fields = answer[0][1][0]
    return tasks.parse(queue, entry_id, fields)


async def test_a_frozen_claim_is_known_for_what_it_is(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_hold", {"timeout_s": 20})
    await core.entry(identity, j.Attempt)
    delivery = await _deliver(core, "core_wait")
    assert (await tasks.claim(core.connection, delivery, "a-1")).outcome == "claimed"
    held = await tasks.claim(core.connection, delivery, "a-2")
    assert (held.outcome, held.holder) == ("held", "a-1")
    assert (await tasks.claim(core.connection, delivery, "a-2", previous="a-1")).outcome == "claimed"
    assert await tasks.renew(core.connection, delivery, "a-1") == "lost"
    assert await tasks.renew(core.connection, delivery, "a-2", 0.5, "half") == "renewed"
    view = (await core.steps(identity))["1"]
    assert (view.state, view.progress, view.attempts[0].agent) == (StepState.RUNNING, 0.5, "a-2")
    await core.client.cancel(identity)
    await until(lambda: _withdrawn(core, delivery))


async def _withdrawn(core: World, delivery: tasks.Delivery) -> bool:
    return await tasks.renew(core.connection, delivery, "a-2") == "cancelled"


async def test_a_task_that_ends_agent_after_agent_is_poison(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_hold", {"timeout_s": 20})
    await core.entry(identity, j.Attempt)
    delivery = await _deliver(core, "core_wait")
    outcomes = []
    for number in range(tasks.MOST_CLAIMS + 1):
        claim = await tasks.claim(core.connection, delivery, f"a-{number}", previous=f"a-{number - 1}")
        outcomes.append(claim.outcome)
    assert outcomes == ["claimed"] * tasks.MOST_CLAIMS + ["poison"]
    found = await core.escalation(identity)
    assert found.reason is Reason.FINAL_ERROR and found.errors[-1].kind == "Poison"


@pytest.mark.parametrize("priority", ["high", "low"])
async def test_priorities_have_queues_of_their_own(core: World, priority: str) -> None:
    await core.host()
    identity = await core.client.submit("core_hold", {"priority": priority})
    await core.entry(identity, j.Attempt)
    await until(lambda: core.connection.call("XLEN", core.connection.keys.agent_queue("core_wait", priority)))
    event(release, "held").set()
    await core.agents()
    assert await core.client.result(identity, timeout_s=5) == "held"


async def test_a_task_whose_queue_was_deleted_is_queued_again(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_hold", {"timeout_s": 0.5})
    await core.entry(identity, j.Attempt)
    queue = core.connection.keys.agent_queue("core_wait")
    await until(lambda: core.connection.call("DEL", queue))
    event(release, "held").set()
    await core.agents()
    assert await core.client.result(identity, timeout_s=5) == "held"
    assert len(await core.journal(identity, j.Attempt)) == 1
