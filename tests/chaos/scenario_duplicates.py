"""A million deliveries, most of them duplicates of every kind: each step settles once and each handler starts once.

Two parts. Agents of the real kind get each task's entry many times over, and entries that run are torn from them and
queued again. Then every script that takes something from outside is called many times over with the same thing:
the same submit, delivery, result (of the same attempt, of another, of one that was superseded), signal and decision,
in random order by several callers. What was caught is what was answered as a repetition and changed nothing; the
journals on the server are the judge.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections import Counter
from typing import Any

import msgspec
import structlog

from agents import AgentWorker
from agents.handlers import Handler
from agents.task import Task
from coordination import journal as j
from coordination.config import Config, current
from coordination.connection import Connection
from coordination.keys import AGENTS_GROUP, Keys
from coordination.scripts import CONFLICT, DUPLICATE
from coordination.streams import ensure_group
from tests import servers
from tests.agent_tasks import add, nothing_left, serving, until
from tests.chaos.scenarios import Options, Outcome
from tests.lua_bench import Bench

NAME = "duplicates"
_FULL, _SHORT = 1_000_000, 100_000
_BY_AGENTS = 0.1  # the share of deliveries that go through agents
_COPIES = 10  # of each queue entry
_CREW = 250  # workflows under way at once
_KIND = "echo"


class Count:
    """What was delivered, what of it was a duplicate, and what a duplicate changed."""

    def __init__(self) -> None:
        self.deliveries = 0
        self.duplicates = 0
        self.caught = 0
        self.kinds: Counter[str] = Counter()
        self.broken: list[str] = []

    def of(self, kind: str, answers: list[int], effects: int) -> None:
        """Note one thing that was delivered so many times and must have had so many effects."""
        had = sum(answer > 0 for answer in answers)
        self.deliveries += len(answers)
        self.duplicates += len(answers) - effects
        self.caught += len(answers) - max(had, effects)
        self.kinds[kind] += len(answers) - effects
        if had != effects:
            self.wrong(f"{kind}: {had} of {len(answers)} had an effect, not {effects}: {sorted(answers)}")

    def wrong(self, what: str) -> None:
        """Note what must not be."""
        if len(self.broken) < 20:
            self.broken.append(what)


async def run(options: Options) -> Outcome:
    """Run the scenario; a million deliveries from a minute on, a tenth of it below."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    wanted, count = _FULL if options.minutes >= 1 else _SHORT, Count()
    chance = random.Random(options.seed)
    server = servers.RedisServer(options.folder / "redis", path=options.folder / "s.sock").start()
    began = time.monotonic()
    try:
        config = msgspec.structs.replace(current(), redis_url=server.url, prefix="dup:")
        starts = await _by_agents(config, count, int(wanted * _BY_AGENTS), chance, options)
        options.say(f"agents: {count.deliveries:,} deliveries, {count.duplicates:,} duplicates, {starts:,} starts")
        settled = await _by_scripts(config, count, wanted, chance, options)
    finally:
        server.stop()
    took_s = time.monotonic() - began
    share = 100 * count.caught / count.duplicates
    figures: dict[str, float | int | str] = {
        "deliveries": count.deliveries,
        "duplicates": count.duplicates,
        "duplicates_caught": count.caught,
        "duplicates_caught_percent": share if count.caught < count.duplicates else 100,
        "handler_starts": starts,
        "steps_settled_by_scripts": settled,
        "deliveries_per_s": round(count.deliveries / took_s),
        **{f"duplicate_{kind}": number for kind, number in sorted(count.kinds.items())},
    }
    return Outcome(NAME, not count.broken and count.caught == count.duplicates, figures, count.broken)


# --- through agents -----------------------------------------------------------------------------


async def _by_agents(config: Config, count: Count, wanted: int, chance: random.Random, options: Options) -> int:
    """Deliver each task's entry many times to two agents; gives how often the handler was started."""
    starts: Counter[str] = Counter()

    async def echo(task: Task, value: int) -> int:
        starts[task.idempotency_key] += 1
        await asyncio.sleep(0.002)  # so that copies arrive while it runs
        return value

    tasks = wanted // _COPIES
    handlers = [Handler(_KIND, echo)]
    async with await Connection.open(config) as connection:
        workers = [AgentWorker(config=config, handlers=handlers, concurrency=200) for _ in range(2)]
        async with serving(workers[0]), serving(workers[1]):
            flows: list[str] = []
            torn = 0
            for first in range(0, tasks, _CREW):
                some = await asyncio.gather(
                    *(add(connection, _KIND, n) for n in range(first, min(first + _CREW, tasks)))
                )
                flows += some
                copies = [flow for flow in some for _ in range(_COPIES - 1)]
                chance.shuffle(copies)
                feeding = asyncio.gather(
                    *(add(connection, _KIND, 0, workflow_id=flow, fresh=False, group=False) for flow in copies)
                )
                torn += await _tear(connection)
                await feeding
                await until(lambda: nothing_left(connection, _KIND), 60)
            await _judge_agents(connection, count, flows, starts, torn)
    return starts.total()


async def _tear(connection: Connection) -> int:
    """Queue entries again that agents hold, as one that takes them for dead would."""
    queue, torn = connection.keys.agent_queue(_KIND), 0
    for row in await connection.call("XPENDING", queue, AGENTS_GROUP, "-", "+", 20):
        torn += await connection.script("move_tasks", [queue, queue], [AGENTS_GROUP, row[1], row[0]])
    return torn


async def _judge_agents(
    connection: Connection, count: Count, flows: list[str], starts: Counter[str], torn: int
) -> None:
    journals = await asyncio.gather(
        *(connection.call("XRANGE", connection.keys.journal(flow), "-", "+") for flow in flows)
    )
    for flow, raw in zip(flows, journals, strict=True):
        settled = sum(isinstance(item.entry, j.Settled) for item in j.parse(raw))
        if settled != 1 or len(raw) != 1:
            count.wrong(f"{flow} was settled {settled} times, in {len(raw)} entries")
    count.deliveries += len(flows) * _COPIES + torn
    duplicates = len(flows) * (_COPIES - 1) + torn
    twice = sum(times - 1 for times in starts.values())
    count.duplicates += duplicates
    count.caught += duplicates - twice
    count.kinds["copy_of_an_entry"] += duplicates - torn
    count.kinds["entry_torn_from_its_agent"] += torn
    if twice or len(starts) != len(flows):
        count.wrong(f"{twice} handlers were started again, {len(flows) - len(starts)} never")


# --- through scripts ------------------------------------------------------------------------------


async def _by_scripts(config: Config, count: Count, wanted: int, chance: random.Random, options: Options) -> int:
    """Call every script that takes something from outside with the same thing again and again."""
    settled, numbers = 0, itertools.count()
    async with await Connection.open(config) as connection, await Connection.open(config) as other:
        benches = [Bench(connection), Bench(other)]
        for bench in benches:
            bench.keys = Keys(f"{config.prefix}s", 1)
        await ensure_group(connection, benches[0].keys.workflows(0), "coordinators")
        told = 0
        while count.deliveries < wanted and not count.broken:
            crew = [f"f{next(numbers)}" for _ in range(_CREW)]
            for stage in (_submits, _deliveries, _results, _inputs):
                await stage(benches, crew, count, chance)
            await _judge_scripts(benches[0], crew, count)
            settled += len(crew)
            if count.deliveries - told > 100_000:
                told = count.deliveries
                options.say(f"{count.deliveries:,} deliveries, {count.caught:,} of {count.duplicates:,} caught")
    return settled


async def _repeat(crew: list[str], calls: list[tuple[str, Any]], chance: random.Random) -> dict[str, list[Any]]:
    """Send all the calls in random order at once; gives the answers of each workflow."""
    chance.shuffle(calls)
    answers = await asyncio.gather(*(call for _, call in calls))
    found: dict[str, list[Any]] = {flow: [] for flow in crew}
    for (flow, _), answer in zip(calls, answers, strict=True):
        found[flow].append(answer)
    return found


def _code(answer: Any) -> int:
    return int(answer[0] if isinstance(answer, list) else answer)


async def _submits(benches: list[Bench], crew: list[str], count: Count, chance: random.Random) -> None:
    """The same submit, four times."""
    calls = [(flow, chance.choice(benches).submit(flow)) for flow in crew for _ in range(4)]
    for answers in (await _repeat(crew, calls, chance)).values():
        count.of("submit", [_code(answer) for answer in answers], 1)
    bench = benches[0]
    await asyncio.gather(*(bench.claim(flow, "h1", "w0-1") for flow in crew))
    await asyncio.gather(*(bench.queue_task(flow, 1) for flow in crew))


async def _deliveries(benches: list[Bench], crew: list[str], count: Count, chance: random.Random) -> None:
    """The same delivery to ten agents; then the attempt is superseded, and both are delivered ten times."""
    calls = [
        (flow, chance.choice(benches).claim_task(flow, f"a{agent}", limit_ms=-1))
        for flow in crew
        for agent in range(10)
    ]
    for answers in (await _repeat(crew, calls, chance)).values():
        count.of("delivery_of_a_held_task", [_code(answer) for answer in answers], 1)
    bench = benches[0]
    await asyncio.gather(*(bench.expire_task(flow, 1) for flow in crew))
    await asyncio.gather(*(bench.queue_task(flow, 1, 2) for flow in crew))
    calls = [
        (flow, chance.choice(benches).claim_task(flow, f"b{agent}", number))
        for flow in crew
        for agent in range(10)
        for number in (1, 2)
    ]
    for answers in (await _repeat(crew, calls, chance)).values():
        count.of("delivery_of_a_superseded_attempt", [_code(answer) for answer in answers], 1)


async def _results(benches: list[Bench], crew: list[str], count: Count, chance: random.Random) -> None:
    """Results of both attempts, eight times each; then both are delivered again after the settlement."""
    calls = [
        (flow, chance.choice(benches).report_task(flow, "s", number))
        for flow in crew
        for _ in range(8)
        for number in (1, 2)
    ]
    for answers in (await _repeat(crew, calls, chance)).values():
        count.of("result", [_code(answer) for answer in answers], 1)
    calls = [
        (flow, chance.choice(benches).claim_task(flow, f"c{agent}", number))
        for flow in crew
        for agent in range(4)
        for number in (1, 2)
    ]
    for answers in (await _repeat(crew, calls, chance)).values():
        count.of("delivery_of_a_settled_task", [_code(answer) for answer in answers], 0)


async def _inputs(benches: list[Bench], crew: list[str], count: Count, chance: random.Random) -> None:
    """The same signal five times, and one escalation opened thrice and decided by three decisions, thrice each."""
    calls = [(flow, chance.choice(benches).accept(flow, "g:s1")) for flow in crew for _ in range(5)]
    for answers in (await _repeat(crew, calls, chance)).values():
        count.of("signal", [_code(answer) for answer in answers], 1)
    calls = [
        (flow, chance.choice(benches).escalate(flow, 1, f"{flow}~2~1", step="2")) for flow in crew for _ in range(3)
    ]
    for answers in (await _repeat(crew, calls, chance)).values():
        count.of("escalation", [_code(answer) for answer in answers], 1)
    calls = [
        (flow, chance.choice(benches).decide(flow, f"{flow}~2~1", f"d{number}"))
        for flow in crew
        for number in range(3)
        for _ in range(3)
    ]
    for flow, answers in (await _repeat(crew, calls, chance)).items():
        codes = Counter(_code(answer) for answer in answers)
        count.of("decision", [_code(answer) for answer in answers], 1)
        if codes != {1: 1, DUPLICATE: 2, CONFLICT: 6}:
            count.wrong(f"{flow}: decisions were answered {dict(codes)}")


async def _judge_scripts(bench: Bench, crew: list[str], count: Count) -> None:
    """The journals say what happened: each thing once, and nothing else."""
    journals = await asyncio.gather(*(bench.entries(flow) for flow in crew))
    expected = Counter({j.Attempt: 2, j.TimedOut: 1, j.Settled: 1, j.Progressed: 1, j.Escalated: 1, j.Decided: 1})
    for flow, entries in zip(crew, journals, strict=True):
        found = Counter(type(item.entry) for item in entries)
        if found != expected:
            count.wrong(f"{flow}: its journal holds {dict(found)}")
    late = await asyncio.gather(*(bench.connection.call("HGET", bench.keys.workflow(flow), "late") for flow in crew))
    if set(late) != {b"15"}:
        count.wrong(f"late results were counted as {set(late)}, not as 15 of 16")
    keys = [key for flow in crew for key in (bench.keys.workflow(flow), bench.keys.journal(flow))]
    keys += [bench.keys.escalation(f"{flow}~2~1") for flow in crew]
    shared = [bench.keys.workflows(0), bench.keys.events(0), bench.keys.deadlines(0)]
    await bench.connection.call("UNLINK", *keys)
    await asyncio.gather(*(bench.connection.call("DEL", key) for key in shared))
