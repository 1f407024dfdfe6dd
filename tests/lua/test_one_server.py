"""What scripts do beside their shard where one server holds every key: they queue, claim and wake."""

from __future__ import annotations

from typing import Any

import pytest

from coordination import journal as j
from coordination import tasks
from coordination.keys import AGENTS_GROUP
from coordination.scripts import HELD
from coordination.streams import ensure_group
from tests.lua_bench import ENTRY, Bench

pytestmark = pytest.mark.one_server

KIND = "kind"


def entry(bench: Bench, identity: str, **changed: Any) -> list[Any]:
    """A queue entry for the first attempt at step 1."""
    known = {"step": "1", "generation": 0, "number": 1, "task_type": KIND, "payload": b"1", "timeout_s": 30.0}
    return tasks.fields(bench.keys, identity, **(known | changed))


async def queues(bench: Bench) -> list[str]:
    """The queues of the one type, with their group."""
    names = [
        bench.keys.instance_queue(KIND, "a"),
        *(bench.keys.agent_queue(KIND, p) for p in ("high", "normal", "low")),
    ]
    for name in names:
        await ensure_group(bench.connection, name, AGENTS_GROUP)
    return names


async def fetch(bench: Bench, most: int = 10, claims: str = KIND) -> list[list[Any]]:
    """What an agent is given: id, fields, ms of the claim."""
    answer = await bench.script("fetch_tasks", await queues(bench), [AGENTS_GROUP, "a", most, claims])
    assert answer[0] == b""
    return [delivered for _, found in answer[1:] for delivered in found]


async def put(bench: Bench, fields: list[Any]) -> None:
    """Add an entry to the queue of the usual priority."""
    await bench.connection.call("XADD", (await queues(bench))[2], "*", *fields)


# --- checkpoint -------------------------------------------------------------------------


def along(*queued: tuple[str, list[Any]]) -> list[Any]:
    """Queue entries as a checkpoint takes them."""
    return [part for queue, fields in queued for part in (queue, len(fields), *fields)]


async def test_a_checkpoint_queues_the_tasks_that_it_asks_for(bench: Bench) -> None:
    identity = await bench.running()
    high, normal = (bench.keys.agent_queue(KIND, priority) for priority in ("high", "normal"))
    sent = along((normal, entry(bench, identity)), (high, entry(bench, identity, step="2", requires={"a": "b"})))
    assert (await bench.checkpoint(identity, 1, [ENTRY, ENTRY], ["progress", "x"], along=sent))[::2] == [1, 2]
    assert [item.seq for item in await bench.entries(identity)] == [1, 2]
    [(_, first)], [(_, second)] = [await bench.connection.call("XRANGE", name, "-", "+") for name in (normal, high)]
    assert tasks.parse(normal, b"1-0", first).step == "1"
    assert tasks.parse(high, b"1-0", second).requires == {"a": "b"}


async def test_a_task_that_its_queue_does_not_take_is_left_to_the_caller(bench: Bench) -> None:
    identity = await bench.running()
    high, normal = (bench.keys.agent_queue(KIND, priority) for priority in ("high", "normal"))
    await bench.connection.call("SET", normal, "no stream")
    sent = along((high, entry(bench, identity)), (normal, entry(bench, identity)), (high, entry(bench, identity)))
    assert (await bench.checkpoint(identity, 1, [ENTRY], along=sent))[2] == 1
    assert len(await bench.entries(identity)) == 1 and await bench.length(high) == 1


async def test_a_refused_checkpoint_queues_nothing(bench: Bench) -> None:
    identity = await bench.running()
    queue = bench.keys.agent_queue(KIND)
    for answer in (
        await bench.checkpoint(identity, 9, [ENTRY], along=along((queue, entry(bench, identity)))),
        await bench.checkpoint(identity, 1, [ENTRY], known=7, along=along((queue, entry(bench, identity)))),
        await bench.checkpoint(identity, 1, [ENTRY] * 2, most=1, along=along((queue, entry(bench, identity)))),
    ):
        assert answer[0] < 0
    assert await bench.length(queue) == 0


# --- fetch_tasks -----------------------------------------------------------------------


async def test_what_is_fetched_is_claimed(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await put(bench, entry(bench, identity))
    [(_, _, claimed_ms)] = await fetch(bench)
    assert (await bench.fields(identity))["t:1"] == f"0:1:c:1:{claimed_ms}:{claimed_ms + 30_000}:a".encode()
    assert (await bench.claim_task(identity, "a"))[0] == 1  # it may ask again
    assert (await bench.claim_task(identity, "b"))[0] == HELD


async def test_nothing_is_claimed_unless_asked(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await put(bench, entry(bench, identity))
    assert [claimed_ms for _, _, claimed_ms in await fetch(bench, claims="")] == [0]
    assert await bench.record(identity) == "q"


@pytest.mark.parametrize(
    "changed",
    [{"requires": {"a": "b"}}, {"task_type": "other"}, {"number": 2}, {"generation": 1}, {"step": "2"}],
    ids=lambda changed: next(iter(changed)),
)
async def test_what_is_not_the_attempt_that_waits_is_not_claimed(bench: Bench, changed: dict[str, Any]) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await put(bench, entry(bench, identity, **changed))
    assert [claimed_ms for _, _, claimed_ms in await fetch(bench)] == [0]
    assert await bench.record(identity) == "q"


async def test_an_attempt_of_a_paused_workflow_is_not_claimed(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await bench.pause(identity)
    await put(bench, entry(bench, identity))
    assert [claimed_ms for _, _, claimed_ms in await fetch(bench)] == [0]


async def test_an_attempt_of_a_workflow_that_has_ended_is_not_claimed(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await bench.finish(identity, 1, 1)
    await put(bench, entry(bench, identity))
    assert [claimed_ms for _, _, claimed_ms in await fetch(bench)] == [0]
    assert await bench.record(identity) == "q"


async def test_an_attempt_that_was_claimed_before_is_left_to_the_script_that_counts(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    for record in ("0:1:q:2:0:0:", "0:1:c:1:5:6:dead"):
        await bench.connection.call("HSET", bench.keys.workflow(identity), "t:1", record)
        await put(bench, entry(bench, identity))
        assert [claimed_ms for _, _, claimed_ms in await fetch(bench)] == [0]
        assert (await bench.fields(identity))["t:1"] == record.encode()


async def test_junk_is_delivered_and_claims_nothing(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    good = entry(bench, identity)
    await bench.connection.call("SET", bench.keys.quarantine, "no hash")
    junk = [
        ["x", "y"],
        ["x", *good[1:]],
        [*good[:2], "x", *good[3:]],
        [*good[:4], "x", *good[5:]],
        [*good[:2], "t", "0:1:30000:1", *good[4:]],
        [*good[:2], "t", f"0:1:-:1:{KIND}", *good[4:]],
        ["k", bench.keys.quarantine, *good[2:]],
        ["k", bench.keys.workflow("nobody"), *good[2:]],
        ["k", "", *good[2:]],
    ]
    for fields in [*junk, good]:
        await put(bench, fields)
    assert [bool(claimed_ms) for _, _, claimed_ms in await fetch(bench)] == [False] * len(junk) + [True]


# --- report_task, finish -----------------------------------------------------------------


async def test_a_report_wakes_the_owner_with_the_entry(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await bench.claim_task(identity, "a")
    [_, owner, seq, now_ms] = await bench.report_task(identity, "s", along=[bench.keys.inboxes, 100])
    assert owner == b""
    [(_, told)] = await bench.connection.call("XRANGE", bench.keys.inbox("h1"), "-", "+")
    last = (await bench.entries(identity))[-1]
    assert told[:6] == [b"w", identity.encode(), b"q", str(seq).encode(), b"t", str(now_ms).encode()]
    assert j.decode(told[7]) == last.entry


async def test_an_owner_who_cannot_be_woken_is_left_to_the_caller(bench: Bench) -> None:
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await bench.claim_task(identity, "a")
    await bench.connection.call("SET", bench.keys.inbox("h1"), "no stream")
    assert (await bench.report_task(identity, "s", along=[bench.keys.inboxes, 100]))[1] == b"h1"
    assert await bench.record(identity) == "s"


async def test_the_end_is_told_to_every_client_with_the_result(bench: Bench) -> None:
    identity = bench.new_id()
    await bench.submit(identity, waiter="c1")
    await bench.submit(identity, waiter="c2")
    await bench.submit(identity, waiter="c3")
    await bench.read("h1")
    await bench.claim(identity)
    await bench.connection.call("SET", bench.keys.inbox("c2"), "no stream")
    answer = await bench.finish(identity, 1, 0, along=[bench.keys.inboxes, 100])
    assert answer[1].split() == [b"c2"]
    for client in ("c1", "c3"):
        [(_, told)] = await bench.connection.call("XRANGE", bench.keys.inbox(client), "-", "+")
        assert told == [b"w", identity.encode(), b"r", b"1"]
        assert 0 < await bench.connection.call("TTL", bench.keys.inbox(client)) <= 60


async def test_an_end_without_a_result_is_told_alone(bench: Bench) -> None:
    identity = bench.new_id()
    await bench.submit(identity, waiter="c1")
    await bench.read("h1")
    await bench.claim(identity)
    await bench.finish(identity, 1, 0, "failed", along=[bench.keys.inboxes, 100], result=b"")
    [(_, told)] = await bench.connection.call("XRANGE", bench.keys.inbox("c1"), "-", "+")
    assert told == [b"w", identity.encode()]
