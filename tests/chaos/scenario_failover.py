"""The primary is killed: Sentinels make its replica the primary, all goes on by itself, what was confirmed is there.

Twice: with memory acknowledgements, where what the replica had not received is gone and counted against an allowance,
and with fsync acknowledgements that a replica's disk confirmed, where nothing is. The old primary returns as replica.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.chaos.crew import Crew
from tests.chaos.environment import environment
from tests.chaos.scenarios import Options, Outcome
from tests.chaos.stage import Stage, stage
from tests.sentinels import Group

NAME = "failover"
_DOWN_AFTER_MS = 1_000
_RESUME_S = 5.0  # what is promised, with the above
_LAG_S = 1.0  # how far the replica may be behind: what was acknowledged in that time may be gone
_LEVELS = {
    "memory": {"GANGLION_DURABILITY": "memory"},
    "replica": {"GANGLION_DURABILITY": "fsync", "GANGLION_DURABLE_REPLICAS": "1"},
}


async def run(options: Options) -> Outcome:
    """Run the scenario."""
    found = Outcome(NAME, holds=True)
    for level, settings in _LEVELS.items():
        folder = options.folder / level
        folder.mkdir()
        with environment(settings):
            outcome = await _fail_over(Options(options.seed, options.minutes, folder, options.say), level)
        found.figures |= {f"{level}_{name}": value for name, value in outcome.figures.items()}
        found.broken += [f"{level}: {line}" for line in outcome.broken]
    found.holds = not found.broken
    return found


async def _fail_over(options: Options, level: str) -> Outcome:
    group = Group(options.folder / "servers", kind="valkey", down_after_ms=_DOWN_AFTER_MS)

    def prepare(crew: Crew) -> None:
        servers: Any = group  # all of them begin and end as one server does
        crew.server = servers

    async with stage(options, hosts=2, in_flight=30, environ={"REDIS_URL": group.url}, prepare=prepare) as on:
        await on.drive(30)
        killed = await _kill(on, group)
        await _resume(on, group, killed, level)
        await _old_one_returns(on, group)
        on.figures["new_work_flows_at_the_end_s"] = await on.flows()
        if level == "memory":  # a signal that was lost is sent again by whoever sends it, under the same id
            waiting = [name for name, p in on.load.promises.items() if p.given < killed and not p.kept]
            await asyncio.gather(*(on.load.signal_again(name) for name in waiting))
        await on.settle(60)
        promises = on.load.promises.items()
        may_be_lost = {name for name, p in promises if killed - _LAG_S <= p.given <= killed + 0.1}
        on.count(may_be_lost if level == "memory" else set())
        on.nobody_died()
        return on.outcome(NAME)


async def _kill(on: Stage, group: Group) -> float:
    """Kill the primary under load; says when."""
    on.options.say("the primary is killed")
    await asyncio.to_thread(group.servers[0].kill)
    return time.monotonic()


async def _resume(on: Stage, group: Group, killed: float, level: str) -> None:
    """All goes on at the replica; new work too, as far as its durability allows."""
    await on.until(lambda: group.primary() is group.servers[1], 20, "the Sentinels chose no other primary")
    on.figures["sentinels_chose_after_s"] = time.monotonic() - killed
    await on.until(
        lambda: any(p.kept > killed + 0.2 and p.is_right for p in on.load.promises.values()),
        20, "no accepted workflow ended after the failover",
    )  # fmt: skip
    on.figures["accepted_work_goes_on_after_s"] = time.monotonic() - killed
    on.expect(time.monotonic() - killed < _RESUME_S, f"it took more than {_RESUME_S:g} s to resume")
    if level == "memory":
        await on.flows()
        on.figures["new_work_flows_after_s"] = time.monotonic() - killed


async def _old_one_returns(on: Stage, group: Group) -> None:
    on.options.say("the old primary comes back")
    old = group.servers[0]
    await asyncio.get_running_loop().run_in_executor(on.crew._starter, old.start)
    took = await on.until(
        lambda: all(word in (old.ask("INFO replication") or b"") for word in (b"role:slave", b"master_link_status:up")),
        40, "the old primary did not follow the new one",
    )  # fmt: skip
    on.figures["old_primary_follows_after_s"] = took
    on.expect(group.primary() is group.servers[1], "the old primary is primary again")
