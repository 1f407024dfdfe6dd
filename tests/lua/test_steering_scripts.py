"""Pausing, resuming, interrupting and restoring workflows, script by script: every answer, and what it leaves."""

from __future__ import annotations

import asyncio
from typing import Any

from coordination import journal as j
from coordination.scripts import DUPLICATE, FINISHED, GONE, HELD, REFUSED, STALE, UNREAD
from tests.lua_bench import ENTRY, LOOK_MS, Bench

NOTE = b'{"actor":"anna"}'


async def pause(bench: Bench, identity: str) -> Any:
    k = bench.keys
    keys = [k.workflow(identity), k.journal(identity), k.events(0)]
    return await bench.script("pause", keys, [identity, j.encode(j.Paused("anna")), NOTE])


async def resume(bench: Bench, identity: str) -> Any:
    k = bench.keys
    keys = [k.workflow(identity), k.journal(identity), k.resumes(0), k.deadlines(0), k.events(0)]
    return await bench.script("resume_workflow", keys, [identity, j.encode(j.Resumed("anna")), LOOK_MS])


async def interrupt(
    bench: Bench, identity: str, seq: Any = "", generation: Any = 1, steps: Any = (), mark: str = "g:1", end: int = 0
) -> Any:
    k = bench.keys
    return await bench.script(
        "interrupt",
        [k.workflow(identity), k.journal(identity), k.workflows(0), k.resumes(0), k.deadlines(0), k.events(0)],
        [identity, mark, ENTRY, seq, LOOK_MS, end, generation, *steps],
    )


async def restore(bench: Bench, identity: str, entries: list[bytes]) -> Any:
    k = bench.keys
    keys = [k.workflow(identity), k.journal(identity), k.workflows(0), k.deadlines(0), k.events(0)]
    return await bench.script("restore", keys, [identity, "kind", 2, b"{}", LOOK_MS, b'{"a":"b"}', 77, *entries])


async def state(bench: Bench, identity: str) -> str:
    return (await bench.fields(identity))["state"].decode()


def gone(bench: Bench) -> str:
    name = "nobody"
    while bench.keys.shard(name):
        name += "y"
    return name


async def test_nothing_is_made_of_a_workflow_that_is_gone_or_has_ended(bench: Bench) -> None:
    before = await bench.names()
    name = gone(bench)
    assert [(await call(bench, name))[0] for call in (pause, resume, interrupt)] == [GONE] * 3
    assert await bench.names() == before
    identity = await bench.running()
    await bench.finish(identity, 1, 0)
    entries = await bench.entries(identity)
    assert [(await call(bench, identity))[0] for call in (pause, resume, interrupt)] == [FINISHED] * 3
    assert await bench.entries(identity) == entries


async def test_a_pause_happens_once_and_covers_every_state_until_it_is_ended(bench: Bench) -> None:
    identity = await bench.running()
    answers = await asyncio.gather(*(pause(bench, identity) for _ in range(20)))
    assert sorted(answer[0] for answer in answers) == [DUPLICATE] * 19 + [1]
    assert [answer[1:3] for answer in answers if answer[0] == 1] == [[b"h1", 1]]
    escalation = f"{identity}~1~1"
    await bench.escalate(identity, 1, escalation)
    assert await state(bench, identity) == "paused"
    await bench.decide(identity, escalation, "d1")
    assert await state(bench, identity) == "paused"
    await bench.escalate(identity, 1, f"{identity}~1~2")
    await bench.withdraw(identity, 1, f"{identity}~1~2")
    assert await state(bench, identity) == "paused"
    assert await bench.park(identity, 1, 4) == 1
    assert await state(bench, identity) == "paused"
    await bench.look(identity)
    assert await state(bench, identity) == "paused"  # queued to be taken up, and still held
    await bench.read("h2", bench.keys.resumes(0))
    assert (await bench.claim(identity, "h2"))[0] == 1
    assert await state(bench, identity) == "paused"
    await bench.release(identity, 2, 5_000)
    assert await state(bench, identity) == "paused"
    assert (await resume(bench, identity))[0] == 1
    assert await state(bench, identity) == "queued"
    assert (await resume(bench, identity))[0] == DUPLICATE


async def test_a_resume_shows_what_the_workflow_is(bench: Bench) -> None:
    identity = await bench.running()
    await pause(bench, identity)
    assert (await resume(bench, identity))[:3] == [1, b"h1", 2] and await state(bench, identity) == "running"
    await pause(bench, identity)
    await bench.escalate(identity, 1, f"{identity}~1~1")
    await resume(bench, identity)
    assert await state(bench, identity) == "needs_human"


async def test_no_task_begins_while_paused_but_its_holder_goes_on(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await pause(bench, identity)
    assert (await bench.claim_task(identity, "a1"))[0] == DUPLICATE
    await resume(bench, identity)
    assert (await bench.claim_task(identity, "a1"))[0] == 1
    await pause(bench, identity)
    assert (await bench.claim_task(identity, "a1"))[0] == 1  # a second delivery to the one that runs it
    assert (await bench.claim_task(identity, "a2"))[0] == DUPLICATE
    assert await bench.renew_task(identity, "a1") == 1
    assert (await bench.report_task(identity, "s"))[0] == 1


async def test_cancelling_ends_a_pause(bench: Bench) -> None:
    identity = await bench.running()
    await pause(bench, identity)
    k = bench.keys
    answer = await bench.script(
        "accept", [k.workflow(identity), k.journal(identity), k.resumes(0), k.deadlines(0), k.events(0)],
        [identity, "cancelled", ENTRY, "progressed", LOOK_MS, 1],
    )  # fmt: skip
    fields = await bench.fields(identity)
    assert answer[0] == 1 and fields["state"] == b"running" and "paused" not in fields
    await pause(bench, identity)
    assert (await bench.accept(identity, "g:signal"))[0] == 1
    assert await state(bench, identity) == "paused"


async def test_an_interruption_fences_the_owner_and_queues_the_workflow_anew(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await bench.claim_task(identity, "a1")
    await bench.report_task(identity, "s")
    assert (await interrupt(bench, identity, seq=1, steps=["1"]))[0] == UNREAD  # its result came since
    assert await bench.record(identity) == "s"
    answer = await interrupt(bench, identity, seq=2, steps=["1", "nothing"])
    assert answer[:3] == [1, b"h1", 3]
    fields = await bench.fields(identity)
    assert (fields["generation"], fields["owner"], fields["state"], fields["epoch"]) == (b"1", b"", b"queued", b"2")
    assert await bench.record(identity) == "x"
    assert (await bench.report_task(identity, "s"))[0] == DUPLICATE and (await bench.fields(identity))["late"] == b"1"
    assert (await bench.checkpoint(identity, 1, [ENTRY]))[0] == STALE
    assert await bench.park(identity, 1, 3) == STALE
    assert (await interrupt(bench, identity, seq=3))[0] == DUPLICATE
    [(entry, found)] = await bench.read("h2", bench.keys.resumes(0))
    assert found == identity and (await bench.claim(identity, "h2", entry))[2] == 3
    assert (await bench.claim(identity, "h1", "w1-1"))[0] == HELD  # the old entry leads nowhere
    again = j.encode(j.Attempt("1", 1, 1, 0, "kind", b"d"))
    assert (await bench.checkpoint(identity, 3, [again], ["t:1", "1:1:q:0:0:0:"]))[0] == 5


async def test_a_generation_does_not_begin_while_it_is_being_cancelled(bench: Bench) -> None:
    identity = await bench.running()
    await bench.accept(identity, "cancelled")
    assert (await interrupt(bench, identity))[0] == REFUSED
    assert "generation" not in await bench.fields(identity)
    await pause(bench, identity)
    assert (await interrupt(bench, identity, generation="", mark="terminated", end=1))[0] == 1
    fields = await bench.fields(identity)
    assert "paused" not in fields and fields["state"] == b"queued" and fields["terminated"] == b"1"


async def test_a_restored_workflow_begins_with_its_entries_once(bench: Bench) -> None:
    identity = bench.new_id()
    answers = await asyncio.gather(*(restore(bench, identity, [ENTRY, ENTRY]) for _ in range(10)))
    assert sorted(answer[0] for answer in answers) == [DUPLICATE] * 9 + [1]
    fields = await bench.fields(identity)
    assert (fields["seq"], fields["version"], fields["began"], fields["labels"]) == (b"2", b"2", b"77", b'{"a":"b"}')
    [(entry, _)] = await bench.read("h1")
    claimed = await bench.claim(identity, "h1", entry)
    assert claimed[0] == 1 and claimed[2] == 1 and len(claimed[4]) == 2
