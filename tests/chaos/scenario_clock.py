"""Clocks are set an hour forward and back, the server's, a host's and an agent's: nobody dies, no step is doubled.

Safety never depends on time. What expires by the server's clock expires early when it is set forward: results that are
kept for their clients, so that the allowance is what was ending at that moment.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.chaos.crew import Crew
from tests.chaos.scenarios import Options, Outcome
from tests.chaos.stage import Stage, stage

NAME = "clock"
_HOUR_S = 3_600
_PAUSE_S = 2.5
_CACHED_S = 1  # for so long libfaketime does not look at its file


async def run(options: Options) -> Outcome:
    """Run the scenario."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        return Outcome(NAME, holds=False, broken=["libfaketime is missing: on Debian, apt-get install libfaketime."])
    server, others = options.folder / "clock-server", options.folder / "clock-others"
    _set(server, 0)
    _set(others, 0)

    def prepare(crew: Crew) -> None:
        for member in (crew.hosts[1], crew.agents[1]):
            member._command = [*_through(found[0], others), *member._command]

    async with stage(options, in_flight=30, through=_through(found[0], server), prepare=prepare) as on:
        await on.drive(30)
        before = await on.members()
        allowance: set[str] = set()
        for target, name in ((server, "server"), (others, "host_and_agent")):
            for seconds in (_HOUR_S, 0, -_HOUR_S, 0):
                allowance |= await _jump(on, target, name, seconds)
        await on.settle()
        on.count(allowance)
        on.nobody_died()
        after = await on.members()
        on.expect(after == before, f"taken for dead: {sorted((before[0] | before[1]) - after[0] - after[1])}")
        on.nothing_doubled()
        noticed = sum(len(on.lines(host, "clock was set")) for host in on.crew.hosts)
        on.figures["jumps_noticed_by_hosts"] = noticed
        on.expect(noticed > 0, "no host noticed that the server's clock was set")
        return on.outcome(NAME)


def _through(library: Path, file: Path) -> list[str]:
    settings = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": str(_CACHED_S), "FAKETIME_DONT_RESET": "1",
    }  # fmt: skip
    return ["env", *(f"{name}={value}" for name, value in settings.items())]


def _set(file: Path, seconds: int) -> None:
    """Let a clock differ from the machine's from now on."""
    new = file.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    new.rename(file)


async def _jump(on: Stage, file: Path, name: str, seconds: int) -> set[str]:
    """Set a clock, see new work flow; gives the workflows that were ending at that moment."""
    on.options.say(f"{name}: {seconds:+d} s")
    began = time.monotonic()
    _set(file, seconds)
    await asyncio.sleep(_CACHED_S)
    over = time.monotonic()
    worst = await on.flows()
    figure = f"{name}_new_work_s_max"
    on.figures[figure] = max(float(on.figures.get(figure, 0.0)), worst)
    await asyncio.sleep(max(0.0, over + _PAUSE_S - _CACHED_S - time.monotonic()))
    return on.alive_between(began, over)
