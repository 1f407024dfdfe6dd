"""Claiming, reporting and expiring tasks: every answer. Sequences of them: test_property_journal."""

from __future__ import annotations

import asyncio

import pytest

from coordination import journal as j
from coordination.scripts import DUPLICATE, FINISHED, HELD, STALE
from tests.lua_bench import ENTRY, Bench


@pytest.fixture
async def task(bench: Bench) -> str:
    """A workflow with one queued attempt at step 1."""
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    return identity


async def test_one_agent_gets_a_claim(bench: Bench, task: str) -> None:
    answers = await asyncio.gather(*(bench.claim_task(task, f"a{number}") for number in range(50)))
    winners = [answer for answer in answers if answer[0] == 1]
    assert len(winners) == 1
    holder = {answer[1] for answer in answers if answer[0] == HELD}
    assert len(holder) == 1


async def test_a_superseded_or_settled_delivery_is_dropped(bench: Bench, task: str) -> None:
    assert await bench.claim_task(task, "a", number=2) == [DUPLICATE]
    await bench.claim_task(task, "a")
    await bench.report_task(task, "s")
    assert await bench.claim_task(task, "a") == [DUPLICATE]
    assert await bench.claim_task(task, "b") == [DUPLICATE]


async def test_the_first_result_of_any_attempt_settles(bench: Bench, task: str) -> None:
    await bench.claim_task(task, "a")
    answers = await asyncio.gather(*(bench.report_task(task, "s", number) for number in (1, 2) for _ in range(50)))
    assert sorted(answer[0] for answer in answers) == [DUPLICATE] * 99 + [1]
    assert len([item for item in await bench.entries(task) if isinstance(item.entry, j.Settled)]) == 1
    assert (await bench.fields(task))["late"] == b"99"


async def test_a_failure_counts_for_the_present_attempt_only(bench: Bench, task: str) -> None:
    await bench.claim_task(task, "a")
    assert await bench.report_task(task, "f", number=7) == [DUPLICATE]
    assert (await bench.report_task(task, "f"))[0] == 1
    assert await bench.report_task(task, "f") == [DUPLICATE]
    assert (await bench.report_task(task, "s"))[0] == 1  # a success after all


async def test_another_generation_is_late(bench: Bench, task: str) -> None:
    assert await bench.report_task(task, "s", generation=1) == [DUPLICATE]
    assert await bench.record(task) == "q"


async def test_renewal_extends_and_tells_what_became_of_the_claim(bench: Bench, task: str) -> None:
    assert await bench.renew_task(task, "a") == STALE  # not claimed yet
    await bench.claim_task(task, "a", limit_ms=1)
    assert await bench.renew_task(task, "a") == 1
    assert (await bench.expire_task(task, 1))[0] == 3
    assert (await bench.fields(task))["p:1"] == b'[0.5,"half"]'
    assert await bench.renew_task(task, "b") == STALE
    await bench.checkpoint(task, 1, [ENTRY], ["t:1", "0:1:x:0:0:0:"])
    assert await bench.renew_task(task, "a") == FINISHED
    assert (await bench.report_task(task, "s"))[0] == DUPLICATE


async def test_expiry_needs_a_claim_that_ran_out(bench: Bench, task: str) -> None:
    assert await bench.expire_task(task, 1) == [2]
    assert await bench.expire_task(task, 1, number=2) == [DUPLICATE]
    await bench.claim_task(task, "a", limit_ms=60_000)
    state, left_ms = await bench.expire_task(task, 1)
    assert state == 3 and 0 < left_ms <= 60_000
    await bench.claim_task(task, "a", limit_ms=-1)
    answers = await asyncio.gather(*(bench.expire_task(task, 1) for _ in range(20)))
    assert sorted(answer[0] for answer in answers) == [DUPLICATE] * 19 + [1]
    timed_out = [item.entry for item in await bench.entries(task) if isinstance(item.entry, j.TimedOut)]
    assert [(entry.step, entry.number, entry.agent) for entry in timed_out] == [("1", 1, "a")]


async def test_a_claim_given_back_counts_for_nothing(bench: Bench, task: str) -> None:
    for _ in range(12):
        assert (await bench.claim_task(task, "a"))[0] == 1
        assert await bench.unclaim_task(task, "a") == 1
        assert await bench.unclaim_task(task, "a") == STALE
    assert await bench.record(task) == "q"


async def test_a_task_that_ends_its_agents_is_poison_and_says_so(bench: Bench, task: str) -> None:
    outcomes = [(await bench.claim_task(task, f"a{n}", previous=f"a{n - 1}"))[0] for n in range(6)]
    assert outcomes == [1, 1, 1, 1, 1, 2]
    erred = (await bench.entries(task))[-1].entry
    assert isinstance(erred, j.Erred) and erred.error.kind == "Poison" and not erred.error.retryable
    assert "5 agents" in erred.error.message
    assert await bench.claim_task(task, "b") == [DUPLICATE]
