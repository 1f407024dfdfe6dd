"""The server's memory is nearly used up: new work is refused early, accepted work ends, and all resumes by itself.

Nothing that was accepted is lost; no result is lost. First the limit is approached, so that clients are refused by the
share of memory in use; then it is passed, so that the server itself refuses writes.
"""

from __future__ import annotations

import asyncio
import time

from tests.chaos.scenarios import Options, Outcome
from tests.chaos.stage import Stage, stage

NAME = "memory"
_NEAR_S = 4.0
_FULL_S = 3.0


async def run(options: Options) -> Outcome:
    """Run the scenario."""
    async with stage(options, in_flight=40) as on:
        await on.drive(50)
        before = await on.members()
        await _near(on)
        await _full(on)
        await on.settle()
        on.count(set())
        on.nobody_died()
        on.expect(await on.members() == before, "a process was taken for dead")
        on.figures |= {f"refused_as_{name}": count for name, count in sorted(on.load.refusals.items())}
        return on.outcome(NAME)


async def _used(on: Stage) -> int:
    return int((await on.info("memory"))["used_memory"])


async def _near(on: Stage) -> None:
    """Nine tenths are in use: new work is refused, what was accepted ends."""
    on.options.say("memory is nearly used up")
    on.load.refusals.clear()
    await on.direct.call("CONFIG", "SET", "maxmemory", int(await _used(on) / 0.92))
    took = await on.until(lambda: on.load.refusals["AdmissionRefused"] > 0, 10, "no refusal of new work")
    on.figures["first_refusal_s"] = took
    accepted = [promise for promise in on.load.promises.values() if not promise.kept]
    await asyncio.sleep(_NEAR_S)
    ended = sum(bool(promise.kept) for promise in accepted)
    on.figures["accepted_when_near"], on.figures["of_them_ended_meanwhile"] = len(accepted), ended
    on.expect(ended > 0 or not accepted, "accepted work stood still although there was memory for it")


async def _full(on: Stage) -> None:
    """All is in use: the server refuses writes; afterwards all goes on by itself."""
    on.options.say("memory is used up")
    await on.direct.call("CONFIG", "SET", "maxmemory", 0)
    await on.flows()
    await on.direct.call("CONFIG", "SET", "maxmemory", 1)
    await asyncio.sleep(_FULL_S)
    await on.direct.call("CONFIG", "SET", "maxmemory", 0)
    on.expect(on.load.refusals["WriteRefused"] > 0, "the server refused no write, so this shows nothing")
    free = time.monotonic()
    await on.flows()
    on.figures["new_work_flows_s"] = time.monotonic() - free
    on.expect(float(on.figures["new_work_flows_s"]) < 5, "it took more than five seconds to resume")
