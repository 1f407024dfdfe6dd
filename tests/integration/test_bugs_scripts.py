"""Bugs 17 and 18 of reliability.md: a script that fails has changed nothing, and payloads are bytes to all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from coordination import journal as j
from coordination import scripts
from coordination.config import Config
from coordination.connection import Connection
from tests.lua_bench import ENTRY, Bench

HOSTILE = b'{"a":[],"b":{},"big":12345678901234567890,"half":1.0,"deep":[[]],"text":"\\u0000\xc3\xa9"}'


@pytest.fixture
async def bench(config: Config) -> AsyncIterator[Bench]:
    async with await Connection.open(config) as connection:
        yield Bench(connection)


BESIDE: dict[str, str] = {}  # a running workflow, and one that has ended
QUEUED: list[str] = []  # the entries of the queue below


def near(bench: Bench, name: str) -> str:
    """A key beside those of shard 0, for what lives elsewhere otherwise, so that it is looked at too."""
    return f"{bench.keys.workflows(0)}:{name}"


def agents(bench: Bench, script: str, *arguments: Any) -> Awaitable[Any]:
    """Call a script of the registry of agents."""
    names = {
        "register_agent": ["beats", "instances", "status", "orphans"],
        "beat_agent": ["beats", "status", "draining", "paused", "orphans"],
        "bury_agent": ["beats", "instances", "status", "draining", "orphans"],
    }[script]
    return bench.script(script, [near(bench, name) for name in names], [*arguments])


def hosts(bench: Bench, script: str, *arguments: Any) -> Awaitable[Any]:
    """Call a script of the registry of hosts."""
    names = (
        ["host_beats", "hosts", "host_events", "times"]
        if script == "declare_dead"
        else ["host_beats", "hosts", "times"]
    )
    return bench.script(script, [near(bench, name) for name in names], [*arguments])


def queue(bench: Bench, script: str, *arguments: Any) -> Awaitable[Any]:
    """Call a script on a queue of two entries that the consumer a holds."""
    keys = {"move_tasks": ["queue", "other"], "fetch_tasks": ["queue"] * 4}.get(script, ["queue"])
    return bench.script(script, [near(bench, name) for name in keys], [*arguments])


def restore(bench: Bench) -> Awaitable[Any]:
    k, identity = bench.keys, bench.new_id()
    keys = [k.workflow(identity), k.journal(identity), k.workflows(0), k.deadlines(0), k.events(0)]
    return bench.script("restore", keys, [identity, "kind", 1, b"{}", 30_000, b"{}", 77, ENTRY])


# What each script is called with when all is well, on a workflow that is running with a claimed task and an open
# escalation; one of its arguments is then made wrong.
CALLS: dict[str, Callable[[Bench, str], Awaitable[Any]]] = {
    "submit": lambda bench, _: bench.submit(bench.new_id(), most=1000, deadline_ms=5, waiter="c"),
    "claim_workflow": lambda bench, flow: bench.claim(flow, "h2", previous="h1"),
    "checkpoint": lambda bench, flow: bench.checkpoint(
        flow, 1, [ENTRY], ["t:2", "0:1:q:0:0:0:"], due_ms=5, along=[near(bench, "queue"), 2, "k", "v"]
    ),
    "park": lambda bench, flow: bench.park(flow, 1, 3),
    "release_workflow": lambda bench, flow: bench.release(flow, 1, 5),
    "finish": lambda bench, flow: bench.finish(flow, 1, 3),
    "accept": lambda bench, flow: bench.accept(flow, "g:1"),
    "look": lambda bench, flow: bench.look(flow),
    "forget": lambda bench, flow: bench.forget(BESIDE[flow], 1),
    "claim_task": lambda bench, flow: bench.claim_task(flow, "b", previous="a"),
    "report_task": lambda bench, flow: bench.report_task(flow, "s"),
    "renew_task": lambda bench, flow: bench.renew_task(flow, "a"),
    "unclaim_task": lambda bench, flow: bench.unclaim_task(flow, "a"),
    "expire_task": lambda bench, flow: bench.expire_task(flow, 1),
    "escalate": lambda bench, flow: bench.escalate(flow, 1, f"{flow}~1~2", "0:1:x:0:0:0:"),
    "decide": lambda bench, flow: bench.decide(flow, f"{flow}~1~1", "d"),
    "withdraw": lambda bench, flow: bench.withdraw(flow, 1, f"{flow}~1~1"),
    "pause": lambda bench, flow: bench.pause(flow),
    "resume_workflow": lambda bench, flow: bench.resume(flow),
    "interrupt": lambda bench, flow: bench.interrupt(flow, "g:2", "", True, ["1"]),
    "restore": lambda bench, _: restore(bench),
    "confirm_child": lambda bench, flow: bench.script(
        "confirm_child", [bench.keys.workflow(flow), bench.keys.deadlines(0), bench.keys.events(0)], [flow]
    ),
    "wait_for": lambda bench, flow: bench.script("wait_for", [bench.keys.workflow(flow)], ["c"]),
    "take_over": lambda bench, _: bench.take_over("w", "h1", "h2", 10),
    "beat": lambda bench, _: hosts(bench, "beat", "h1", "{}", 0),
    "declare_dead": lambda bench, _: hosts(bench, "declare_dead", "h1", 1, "h2", 900, "lost"),
    "register_agent": lambda bench, _: agents(bench, "register_agent", "b", "{}", "{}", "b|kind"),
    "beat_agent": lambda bench, _: agents(bench, "beat_agent", "a", "{}", "a|kind"),
    "bury_agent": lambda bench, _: agents(bench, "bury_agent", "a", "", "kind"),
    "fetch_tasks": lambda bench, _: queue(bench, "fetch_tasks", "g", "a", 5, ""),
    "acknowledge": lambda bench, _: queue(bench, "acknowledge", "g", *QUEUED),
    "move_tasks": lambda bench, _: queue(bench, "move_tasks", "g", "a", *QUEUED),
    "requeue": lambda bench, _: queue(bench, "requeue", "g", QUEUED[0]),
    "retire_consumer": lambda bench, _: queue(bench, "retire_consumer", "g", "idle"),
    "retire_queue": lambda bench, _: bench.script("retire_queue", [near(bench, "empty")], []),
}

# Those that no argument can make fail: they compare what they are given as text, store it as it is, or get nothing.
TEXT_ALONE = {
    "finish", "report_task", "unclaim_task", "expire_task", "escalate", "withdraw", "pause", "confirm_child",
    "wait_for", "beat", "declare_dead", "register_agent", "beat_agent", "bury_agent", "retire_queue",
}  # fmt: skip


async def prepared(bench: Bench) -> str:
    ended = await bench.running()
    await bench.finish(ended, 1, 0)
    identity = await bench.running()
    BESIDE[identity] = ended
    await bench.queue_task(identity, 1)
    await bench.claim_task(identity, "a", limit_ms=-1)
    await bench.escalate(identity, 1, f"{identity}~1~1")
    await bench.checkpoint(identity, 1, [ENTRY])
    await hosts(bench, "beat", "h1", "{}", 1)
    await agents(bench, "register_agent", "a", "{}", "{}", "a|kind")
    call, name = bench.connection.call, near(bench, "queue")
    await call("DEL", name)
    await call("XGROUP", "CREATE", name, "g", "0", "MKSTREAM")
    QUEUED[:] = [(await call("XADD", name, "*", "w", identity)).decode() for _ in range(2)]
    await call("XREADGROUP", "GROUP", "g", "a", "STREAMS", name, ">")
    return identity


async def everything(bench: Bench) -> dict[bytes, Any]:
    names = sorted(await bench.names())
    return {name: await bench.connection.call("DUMP", name) for name in names}


@pytest.mark.parametrize("name", CALLS)
async def test_bug_17_a_script_that_fails_has_changed_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Lua undoes nothing, so all that may fail comes before the first write."""
    honest, sizes, raised = bench.script, [0], 0
    wrong: int | None = None

    async def with_a_wrong_argument(script: str, keys: list[str], args: list[Any]) -> Any:
        if wrong is not None and script == name:
            sizes.append(len(args))
            args = [b"no number" if index == wrong else value for index, value in enumerate(args)]
        return await honest(script, keys, args)

    monkeypatch.setattr(bench, "script", with_a_wrong_argument)
    for place in range(20):
        identity = await prepared(bench)
        before = await everything(bench)
        wrong = place
        try:
            await CALLS[name](bench, identity)
        except ResponseError as error:
            assert await everything(bench) == before, f"argument {place} of {name}: {error}"
            raised += 1
        wrong = None
        if place >= sizes[-1]:
            break
    assert (raised == 0) == (name in TEXT_ALONE), f"{raised} arguments of {name} can make it fail"


def test_bug_17_is_looked_for_in_every_script() -> None:
    assert set(CALLS) == set(scripts.all_scripts())


async def test_bug_18_payloads_are_bytes_to_every_script(bench: Bench) -> None:
    """cjson makes {} of [] and a float of a large integer; so no script reads or writes JSON."""
    k, identity = bench.keys, bench.new_id()
    await bench.script(
        "submit", [k.workflow(identity), k.workflows(0), k.deadlines(0), k.events(0)],
        [identity, "kind", 1, HOSTILE, 0, 1_000, 0, "", "labels", HOSTILE],
    )  # fmt: skip
    await bench.read("h1")
    claimed = await bench.claim(identity)
    fields = dict(zip(claimed[3][::2], claimed[3][1::2], strict=True))
    assert fields[b"input"] == fields[b"labels"] == HOSTILE
    await bench.queue_task(identity, 1)
    settled = j.encode(j.Settled("1", 0, 1, "a", 0, HOSTILE))
    signalled = j.encode(j.Signalled("go", "s1", HOSTILE))
    await bench.script(
        "report_task",
        [k.workflow(identity), k.journal(identity), k.events(0), k.seen(0)],
        [identity, "1", 0, 1, "s", settled, "", 0],
    )
    await bench.accept(identity, "g:s1", signalled)
    kept = [item.entry for item in await bench.entries(identity)][-2:]
    assert [entry.value for entry in kept if isinstance(entry, j.Settled | j.Signalled)] == [HOSTILE, HOSTILE]
    sources = Path(scripts.__file__).parent.glob("lua/*.lua")
    assert not [path.name for path in sources if "cjson" in path.read_text()]
