"""DEL of one stream or index at a time, under load: what it was made from fills it again, and nothing strands.

Only a journal is no index of something else. A workflow whose journal was deleted goes on as long as its host has it in
memory; one that must be replayed goes to people. These are the allowance; everything else must end right.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import time
from collections.abc import Awaitable, Callable

from coordination.keys import PRIORITIES
from tests.chaos.scenarios import Options, Outcome
from tests.chaos.stage import Promise, Stage, stage

NAME = "lost_stream"
_LOOK_S = 5  # GANGLION_LOOK_S, so that what only a look finds is found within the scenario
_IN_FLIGHT = 24
_JOURNALS = 12
_PAUSE_S = 2.5


async def run(options: Options) -> Outcome:
    """Run the scenario."""
    environ = {"GANGLION_LOOK_S": str(_LOOK_S), "GANGLION_TIMEOUT_S": "10"}
    async with stage(options, in_flight=_IN_FLIGHT, environ=environ) as on:
        await on.drive(50)
        keys, shards = on.direct.keys, range(on.direct.keys.shards)
        members = sorted(itertools.chain(*await on.members()))
        kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "workflows": lambda: _delete(on, [keys.workflows(shard) for shard in shards]),
            "resumes": lambda: _delete(on, [keys.resumes(shard) for shard in shards]),
            "agent_queue": lambda: _delete_busy_queue(on),
            "inbox": lambda: _delete(on, [keys.inbox(host) for host in members]),
            "events": lambda: _delete(on, [keys.events(shard) for shard in shards]),
            "deadlines": lambda: _delete(on, [keys.deadlines(shard) for shard in shards]),
        }
        hits = {kind: await _one(on, kind, destroy) for kind, destroy in kinds.items()}
        allowance = await _journals(on)
        await on.settle()
        on.count(allowance)
        for kind, (over, hit) in hits.items():
            ended = [promise.kept - over for name, promise in hit.items() if name not in allowance]
            on.figures[f"{kind}_in_flight_ended_s"] = max(ended, default=0.0)
            on.expect(min(ended, default=0.0) >= 0, f"{kind}: not all of what was in flight has ended")
        on.figures["journals_to_people"] = len(on.load.torn)
        on.expect(on.load.torn <= allowance, "people were asked about a workflow whose journal is whole")
        await _history(on)
        on.nobody_died("host-0")
        return on.outcome(NAME)


async def _delete(on: Stage, streams: list[str]) -> None:
    for stream in streams:
        await on.direct.call("DEL", stream)


async def _one(on: Stage, kind: str, destroy: Callable[[], Awaitable[None]]) -> tuple[float, dict[str, Promise]]:
    """Delete, and see new work flow; gives when it was deleted, and what was in flight then."""
    on.options.say(f"DEL {kind}")
    await destroy()
    over = time.monotonic()
    hit = {name: promise for name, promise in on.load.promises.items() if not promise.kept}
    on.figures[f"{kind}_new_work_s"] = await on.flows()
    await asyncio.sleep(max(0.0, over + _PAUSE_S - time.monotonic()))  # so that the next fault finds another load
    return over, hit


async def _delete_busy_queue(on: Stage) -> None:
    """Delete the queue of tasks while it is full, because all agents stand still."""
    keys = on.direct.keys
    queue = keys.agent_queue("chaos_work", "normal")
    for member in on.crew.agents:
        member.send(signal.SIGSTOP)
    try:
        await on.until(lambda: _waiting(on, queue), 5, "no task waits")
        on.figures["agent_queue_tasks_lost"] = int(await on.direct.call("XLEN", queue))
        await _delete(on, [keys.agent_queue("chaos_work", priority) for priority in PRIORITIES])
    finally:
        for member in on.crew.agents:
            member.send(signal.SIGCONT)


async def _waiting(on: Stage, queue: str) -> bool:
    return bool(await on.direct.call("XLEN", queue) >= _IN_FLIGHT // 3)


async def _journals(on: Stage) -> set[str]:
    """Delete journals of workflows in flight, then kill a host, so that its workflows must be replayed."""
    on.options.say(f"DEL {_JOURNALS} journals, then a host is killed")
    living = [name for name, promise in on.load.promises.items() if not promise.kept]
    chosen = random.Random(on.options.seed).sample(living, min(_JOURNALS, len(living)))
    await asyncio.gather(*(on.direct.call("DEL", on.direct.keys.journal(name)) for name in chosen))
    on.crew.hosts[0].kill()
    on.figures["journals_deleted"] = len(chosen)
    return set(chosen)


async def _history(on: Stage) -> None:
    living = "SELECT count(*) FROM dashboard_workflow WHERE finished_at IS NULL"
    try:
        on.figures["history_agrees_s"] = await on.until(lambda: on.history(living)[0][0] == 0, 20, "history")
    except TimeoutError:
        on.broken.append(f"{on.history(living)[0][0]} rows of the history live although nothing does")
    stored = {row[0] for row in on.history("SELECT id FROM dashboard_workflow")}
    missing = on.load.promises.keys() - stored
    on.expect(not missing, f"{len(missing)} workflows are not in the history: {sorted(missing)[:3]}")
