"""The life of a workflow, script by script: every answer, and what it leaves."""

from __future__ import annotations

import asyncio

from coordination import journal as j
from coordination.scripts import DUPLICATE, FINISHED, GONE, REFUSED, STALE, UNREAD
from tests.lua_bench import ENTRY, Bench


async def test_on_a_workflow_that_is_gone_nothing_is_created(bench: Bench) -> None:
    for stream in (bench.keys.workflows(0), bench.keys.resumes(0)):
        await bench.read("h1", stream)  # makes the groups
    before = await bench.names()
    gone = "nobody"
    while bench.keys.shard(gone):
        gone += "y"
    answers = [
        (await bench.claim(gone))[0],
        (await bench.checkpoint(gone, 1, [ENTRY]))[0],
        await bench.park(gone, 1, 0),
        await bench.release(gone, 1),
        (await bench.finish(gone, 1, 0))[0],
        (await bench.accept(gone, "g:1"))[0],
        await bench.forget(gone, 0),
        (await bench.look(gone))[0],
        (await bench.claim_task(gone, "a"))[0],
        (await bench.report_task(gone, "s"))[0],
        await bench.renew_task(gone, "a"),
        await bench.unclaim_task(gone, "a"),
        (await bench.expire_task(gone, 1))[0],
        (await bench.escalate(gone, 1, f"{gone}~1~1"))[0],
        (await bench.decide(gone, f"{gone}~1~1", "d"))[0],
        await bench.withdraw(gone, 1, f"{gone}~1~1"),
        await bench.script("wait_for", [bench.keys.workflow(gone)], ["client"]),
    ]
    assert answers == [GONE] * len(answers)
    assert await bench.names() == before


async def test_stale_epochs_are_refused_and_change_nothing(bench: Bench) -> None:
    identity = await bench.running(seq=2)
    await bench.queue_task(identity, 1)
    await bench.escalate(identity, 1, f"{identity}~1~1")
    await bench.claim(identity, "h2", previous="h1")
    before = await bench.fields(identity), await bench.entries(identity)
    for epoch in (0, 1, 3):
        answers = [
            (await bench.checkpoint(identity, epoch, [ENTRY]))[0],
            await bench.park(identity, epoch, 4),
            await bench.release(identity, epoch),
            (await bench.finish(identity, epoch, 4))[0],
            (await bench.escalate(identity, epoch, f"{identity}~1~2"))[0],
            (await bench.expire_task(identity, epoch))[0],
            await bench.withdraw(identity, epoch, f"{identity}~1~1"),
        ]
        assert answers == [STALE] * len(answers)
    assert (await bench.fields(identity), await bench.entries(identity)) == before


# --- submit --------------------------------------------------------------------------


async def test_submit_writes_state_index_and_entry_at_once(bench: Bench) -> None:
    identity = bench.new_id()
    answer = await bench.submit(identity, deadline_ms=5_000, waiter="c1", fields=["key", "k"])
    fields = await bench.fields(identity)
    assert answer[0] == 1 and fields["state"] == b"queued" and fields["waiters"] == b"c1" and fields["key"] == b"k"
    assert int(fields["deadline"]) == answer[1] + 5_000 == int(fields["created"]) + 5_000
    assert await bench.connection.call("ZSCORE", bench.keys.deadlines(0), identity)
    assert await bench.read("h1") == [(fields["entry"].decode(), identity)]
    assert not await bench.connection.call("EXISTS", bench.keys.journal(identity))


async def test_submit_happens_once(bench: Bench) -> None:
    identity = bench.new_id()
    answers = await asyncio.gather(*(bench.submit(identity, waiter=f"c{number}") for number in range(30)))
    assert sorted(answer[0] for answer in answers) == [DUPLICATE] * 29 + [1]
    assert await bench.length(bench.keys.workflows(0)) == 1
    waiters = (await bench.fields(identity))["waiters"].split()
    assert len(waiters) == 30


async def test_submit_refuses_a_full_backlog_but_never_a_child(bench: Bench) -> None:
    for _ in range(3):
        assert (await bench.submit(bench.new_id(), most=3))[0] == 1
    identity = bench.new_id()
    assert await bench.submit(identity, most=3) == [REFUSED, 3]
    assert not await bench.fields(identity)
    assert (await bench.submit(bench.new_id(), most=0))[0] == 1
    await bench.read("h1")  # what a host has taken is no backlog
    assert (await bench.submit(bench.new_id(), most=3))[0] == 1


# --- claim ----------------------------------------------------------------------------


async def test_claim_gives_everything_for_a_replay_under_the_next_epoch(bench: Bench) -> None:
    identity = bench.new_id()
    await bench.submit(identity)
    await bench.accept(identity, "g:1")
    await bench.read("h1")
    first = await bench.claim(identity)
    assert first[0] == 1 and first[2] == 1 and len(j.parse(first[4])) == 1  # what came before it began
    second = await bench.claim(identity, "h2", previous="h1")
    assert second[2] == 2
    entries = j.parse(second[4])
    assert entries[-1].entry == j.TakenUp(2, "h2", "h1", "takeover")
    fields = await bench.fields(identity)
    assert fields["owner"] == b"h2" and fields["epoch"] == b"2"


async def test_claim_of_an_ended_workflow_drops_its_entry(bench: Bench) -> None:
    identity = await bench.running()
    await bench.finish(identity, 1, 0)
    entry = await bench.connection.call("XADD", bench.keys.resumes(0), "*", "w", identity)
    await bench.read("h2", bench.keys.resumes(0))
    assert (await bench.claim(identity, "h2", f"r{entry.decode()}"))[0] == FINISHED
    assert await bench.length(bench.keys.resumes(0)) == 0


# --- checkpoint -------------------------------------------------------------------------


async def test_checkpoint_numbers_its_entries(bench: Bench) -> None:
    identity = await bench.running(seq=2)
    answer = await bench.checkpoint(identity, 1, [ENTRY, ENTRY], ["progress", "x"])
    assert answer[0] == 3
    assert [item.seq for item in await bench.entries(identity)] == [1, 2, 3, 4]
    assert (await bench.fields(identity))["progress"] == b"x"


async def test_a_checkpoint_that_comes_late_beside_its_repetition_is_written_once(bench: Bench) -> None:
    identity = await bench.running()
    assert (await bench.checkpoint(identity, 1, [ENTRY], known=0))[0] == 1
    assert await bench.checkpoint(identity, 1, [ENTRY], known=0) == [UNREAD, 1]
    assert (await bench.checkpoint(identity, 1, [ENTRY], known=1))[0] == 2


async def test_checkpoint_brings_the_next_look_forward_and_never_back(bench: Bench) -> None:
    identity = await bench.running()
    score = float(await bench.connection.call("ZSCORE", bench.keys.deadlines(0), identity))
    await bench.checkpoint(identity, 1, [ENTRY], due_ms=int(score) + 1000)
    assert float(await bench.connection.call("ZSCORE", bench.keys.deadlines(0), identity)) == score
    await bench.checkpoint(identity, 1, [ENTRY], due_ms=int(score) - 1000)
    assert float(await bench.connection.call("ZSCORE", bench.keys.deadlines(0), identity)) == score - 1000


async def test_checkpoint_refuses_a_full_journal_as_a_whole(bench: Bench) -> None:
    identity = await bench.running(seq=8)
    assert await bench.checkpoint(identity, 1, [ENTRY] * 3, ["progress", "x"], most=10) == [REFUSED]
    assert len(await bench.entries(identity)) == 8 and "progress" not in await bench.fields(identity)
    assert (await bench.checkpoint(identity, 1, [ENTRY] * 2, most=10))[0] == 9


async def test_checkpoint_never_queues_over_a_settled_task(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await bench.claim_task(identity, "a", limit_ms=0)
    await asyncio.sleep(0.002)
    assert (await bench.expire_task(identity, 1))[0] == 1
    assert (await bench.report_task(identity, "s"))[0] == 1
    assert await bench.queue_task(identity, 1, number=2) == [UNREAD, 1]
    assert (await bench.escalate(identity, 1, f"{identity}~1~1", "0:1:x:0:0:0:"))[0] == UNREAD
    assert await bench.record(identity) == "s"
    assert not await bench.connection.call("EXISTS", bench.keys.escalation(f"{identity}~1~1"))
    read = int((await bench.fields(identity))["seq"])  # whoever has read the result may find that it does not fit
    assert (await bench.escalate(identity, 1, f"{identity}~1~1", "0:1:x:0:0:0:", seq=read))[0] == read + 1


# --- park, release, resume ------------------------------------------------------------------


async def test_park_is_refused_while_something_is_unread(bench: Bench) -> None:
    identity = await bench.running(seq=1)
    await bench.accept(identity)
    assert await bench.park(identity, 1, 1) == UNREAD
    assert (await bench.fields(identity))["owner"] == b"h1"
    assert await bench.park(identity, 1, 2) == 1
    fields = await bench.fields(identity)
    assert (fields["owner"], fields["state"], fields["parked"]) == (b"", b"waiting", b"1")
    assert await bench.length(bench.keys.workflows(0)) == 0


async def test_input_resumes_a_parked_workflow_once(bench: Bench) -> None:
    identity = await bench.running()
    await bench.park(identity, 1, 0)
    answers = await asyncio.gather(*(bench.accept(identity, f"g:{number}") for number in range(10)))
    assert [answer[0] for answer in answers] == [1] * 10
    assert [workflow for _, workflow in await bench.read("h2", bench.keys.resumes(0))] == [identity]
    fields = await bench.fields(identity)
    assert fields["state"] == b"queued" and "parked" not in fields


async def test_release_queues_again_at_once_or_later(bench: Bench) -> None:
    identity = await bench.running()
    assert await bench.release(identity, 1) == 1
    assert len(await bench.read("h2", bench.keys.resumes(0))) == 1
    await bench.claim(identity, "h2")
    assert await bench.release(identity, 2, 1_000) == 1
    assert await bench.read("h3", bench.keys.resumes(0)) == []
    assert (await bench.fields(identity))["state"] == b"queued"
    assert await bench.look(identity) == [1]
    assert len(await bench.read("h3", bench.keys.resumes(0))) == 1


# --- accept -------------------------------------------------------------------------------


async def test_the_same_input_is_accepted_once(bench: Bench) -> None:
    identity = await bench.running()
    answers = await asyncio.gather(*(bench.accept(identity, "g:same") for _ in range(40)))
    assert sorted(answer[0] for answer in answers) == [DUPLICATE] * 39 + [1]
    assert len(await bench.entries(identity)) == 1


async def test_ended_workflows_take_no_input(bench: Bench) -> None:
    identity = await bench.running()
    await bench.accept(identity, "g:before")
    await bench.finish(identity, 1, 1)
    assert await bench.accept(identity, "g:after") == [FINISHED]
    assert await bench.accept(identity, "g:before") == [DUPLICATE]
    assert len(await bench.entries(identity)) == 2


# --- finish and forget -------------------------------------------------------------------------


async def test_finish_is_refused_while_something_is_unread(bench: Bench) -> None:
    identity = await bench.running(seq=1)
    await bench.accept(identity)
    assert await bench.finish(identity, 1, 1) == [UNREAD]
    assert (await bench.fields(identity))["state"] == b"running"


async def test_finish_leaves_no_entry_and_no_index(bench: Bench) -> None:
    identity = await bench.running(seq=1)
    await bench.script("wait_for", [bench.keys.workflow(identity)], ["c1"])
    answer = await bench.finish(identity, 1, 1)
    assert answer[:3] == [1, b" c1", b""]
    assert await bench.length(bench.keys.workflows(0)) == 0
    assert await bench.connection.call("ZSCORE", bench.keys.deadlines(0), identity) is None
    assert (await bench.finish(identity, 1, 1))[:2] == [1, b""]  # said again, after an answer was lost
    assert len(await bench.entries(identity)) == 2
    assert await bench.script("wait_for", [bench.keys.workflow(identity)], ["c2"]) == FINISHED


async def test_an_ended_child_stays_until_its_parent_knows(bench: Bench) -> None:
    identity = bench.new_id()
    await bench.submit(identity, fields=["parent", "w9 1"])
    await bench.read("h1")
    await bench.claim(identity)
    assert (await bench.finish(identity, 1, 0))[2] == b"w9 1"
    assert await bench.forget(identity, 1) == UNREAD
    assert (await bench.look(identity))[0] == 3
    confirmed = [bench.keys.workflow(identity), bench.keys.deadlines(0), bench.keys.events(0)]
    for _ in range(2):
        assert await bench.script("confirm_child", confirmed, [identity]) == 1
    assert await bench.forget(identity, 1) == 1


async def test_forget_keeps_what_is_not_mirrored_to_its_end(bench: Bench) -> None:
    identity = await bench.running(seq=3)
    assert await bench.forget(identity, 3) == UNREAD  # it runs
    await bench.accept(identity, "g:1")
    await bench.finish(identity, 1, 4)
    for seq in (0, 4, 6):
        assert await bench.forget(identity, seq) == UNREAD
    assert len(await bench.entries(identity)) == 5
    assert await bench.forget(identity, 5) == 1
    fields = await bench.fields(identity)
    assert not await bench.entries(identity) and fields["result"] == b"1"
    assert "input" not in fields and "g:1" not in fields


# --- look and take over --------------------------------------------------------------------------


async def test_look_requeues_what_no_live_host_has(bench: Bench) -> None:
    identity = await bench.running()
    assert await bench.look(identity, "h0 h1 h2") == [2, b"h1"]
    assert (await bench.look(identity, "h2"))[0] == 4  # its entry pends: the watchdog's
    await bench.connection.call("DEL", bench.keys.workflows(0))
    assert await bench.look(identity, "h2") == [1]
    assert [workflow for _, workflow in await bench.read("h2", bench.keys.resumes(0))] == [identity]


async def test_two_peers_never_get_the_same_entry(bench: Bench) -> None:
    identities = [bench.new_id() for _ in range(100)]
    for identity in identities:
        await bench.submit(identity)
    assert len(await bench.read("dead")) == 100

    async def take(host: str) -> list[bytes]:
        found: list[bytes] = []
        while answer := await bench.script("take_over", [bench.keys.workflows(0)], ["dead", host, 7]):
            found += answer[1::2]
        return found

    taken = await asyncio.gather(*(take(f"h{number}") for number in range(4)))
    everything = [identity.decode() for found in taken for identity in found]
    assert sorted(everything) == sorted(identities)
    consumers = await bench.connection.call("XINFO", "CONSUMERS", bench.keys.workflows(0), "coordinators")
    assert b"dead" not in [consumer[1] for consumer in consumers]
