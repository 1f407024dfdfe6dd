"""Escalations are opened once and decided once, whoever asks and however often."""

from __future__ import annotations

import asyncio

from coordination import journal as j
from coordination.scripts import CONFLICT, DUPLICATE, FINISHED
from tests.lua_bench import Bench


async def opened(bench: Bench) -> tuple[str, str]:
    identity = await bench.running()
    escalation = f"{identity}~1~1"
    assert (await bench.escalate(identity, 1, escalation))[0] == 1
    return identity, escalation


async def test_it_opens_once_with_the_workflows_state(bench: Bench) -> None:
    identity = await bench.running()
    escalation = f"{identity}~1~1"
    answers = await asyncio.gather(*(bench.escalate(identity, 1, escalation) for _ in range(20)))
    assert sorted(answer[0] for answer in answers) == [DUPLICATE] * 19 + [1]
    fields = await bench.fields(identity)
    assert (fields["state"], fields["open"]) == (b"needs_human", b"1")
    assert await bench.length(bench.keys.escalation_queue(0)) == 1
    assert len(await bench.entries(identity)) == 1


async def test_one_of_a_hundred_deciders_wins(bench: Bench) -> None:
    identity, escalation = await opened(bench)
    answers = await asyncio.gather(*(bench.decide(identity, escalation, f"d{number}") for number in range(100)))
    codes = [answer[0] for answer in answers]
    assert codes.count(1) == 1 and codes.count(CONFLICT) == 99
    winner = f"actor of d{codes.index(1)}".encode()
    assert {tuple(answer[1:]) for answer in answers if answer[0] == CONFLICT} == {(b"resolved", winner)}
    decided = [item.entry for item in await bench.entries(identity) if isinstance(item.entry, j.Decided)]
    assert [entry.actor.encode() for entry in decided] == [winner]
    fields = await bench.fields(identity)
    assert (fields["state"], fields["open"]) == (b"running", b"0")
    assert await bench.length(bench.keys.escalation_queue(0)) == 0


async def test_the_same_decision_gets_its_answer_again(bench: Bench) -> None:
    identity, escalation = await opened(bench)
    answers = await asyncio.gather(*(bench.decide(identity, escalation, "same", action="skip") for _ in range(30)))
    assert sorted(answer[0] for answer in answers) == [DUPLICATE] * 29 + [1]
    assert {answer[1] for answer in answers if answer[0] == DUPLICATE} == {b"skip"}


async def test_a_decision_resumes_a_parked_workflow(bench: Bench) -> None:
    identity, escalation = await opened(bench)
    await bench.park(identity, 1, 1)
    assert (await bench.fields(identity))["state"] == b"needs_human"
    assert (await bench.decide(identity, escalation, "d"))[0] == 1
    assert (await bench.fields(identity))["state"] == b"queued"
    assert [workflow for _, workflow in await bench.read("h2", bench.keys.resumes(0))] == [identity]


async def test_a_lost_escalation_queue_hinders_no_decision(bench: Bench) -> None:
    identity, escalation = await opened(bench)
    await bench.connection.call("DEL", bench.keys.escalation_queue(0))
    assert (await bench.decide(identity, escalation, "d"))[0] == 1
    assert (await bench.escalate(identity, 1, f"{identity}~1~2"))[0] == 3
    assert await bench.length(bench.keys.escalation_queue(0)) == 1


async def test_a_decision_of_a_workflow_that_ended_is_refused(bench: Bench) -> None:
    identity, escalation = await opened(bench)
    await bench.finish(identity, 1, 1)
    assert await bench.decide(identity, escalation, "d") == [FINISHED]


async def test_what_was_withdrawn_cannot_be_decided(bench: Bench) -> None:
    identity, escalation = await opened(bench)
    assert await bench.withdraw(identity, 1, escalation) == 1
    assert await bench.withdraw(identity, 1, escalation) == DUPLICATE
    assert (await bench.decide(identity, escalation, "d"))[:2] == [CONFLICT, b"withdrawn"]
    fields = await bench.fields(identity)
    assert (fields["state"], fields["open"]) == (b"running", b"0")
    assert await bench.length(bench.keys.escalation_queue(0)) == 0
