"""The server is killed and started again under load, with each appendfsync: nothing that was acknowledged is lost.

Before that, the price of each level is measured: milliseconds for a submit, one at a time and a hundred at once. The
death of the machine, which only fsync survives, cannot be shown by killing a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator

import msgspec

from coordination import catalog
from coordination.async_client import Client
from coordination.config import current
from tests import servers
from tests.chaos import plans
from tests.chaos.environment import environment
from tests.chaos.scenarios import Options, Outcome
from tests.chaos.stage import stage

NAME = "fsync"
_ROUNDS = {1: 10, 100: 4}  # how often so many submit at once
_KILLS = (("always", "fsync"), ("everysec", "fsync"), ("everysec", "memory"), ("no", "memory"))
_RESUME_S = 1.0  # after the server answers


async def run(options: Options) -> Outcome:
    """Run the scenario."""
    found = Outcome(NAME, holds=True)
    with environment({"GANGLION_APPS": "tests.chaos.app"}):
        catalog.discover()
        await _price(options, found)
    for appendfsync, level in _KILLS:
        name = f"{appendfsync}_{level}"
        folder = options.folder / name
        folder.mkdir()
        with environment({"GANGLION_DURABILITY": level}):
            outcome = await _kill(Options(options.seed, options.minutes, folder, options.say), appendfsync, level)
        found.figures |= {f"{name}_{figure}": value for figure, value in outcome.figures.items()}
        found.broken += [f"{name}: {line}" for line in outcome.broken]
    found.holds = not found.broken
    return found


# --- the price ------------------------------------------------------------------------


async def _price(options: Options, found: Outcome) -> None:
    for appendfsync in ("everysec", "always"):
        with servers.redis_server(appendfsync=appendfsync) as server:
            await _measure(options, found, appendfsync, server.url, 0, ("memory", "fsync"))
            with _replica(server, appendfsync):
                await _measure(options, found, appendfsync, server.url, 1, ("fsync",))


async def _measure(
    options: Options, found: Outcome, appendfsync: str, url: str, replicas: int, levels: tuple[str, ...]
) -> None:
    config = msgspec.structs.replace(current(), redis_url=url, durable_replicas=replicas)
    async with Client.open(config) as client:
        for level in levels:
            for at_once, rounds in _ROUNDS.items():
                took: list[float] = []
                for _ in range(rounds):
                    await asyncio.gather(*(_one(client, level, took) for _ in range(at_once)))
                name = f"{appendfsync}_{level}{'_replica' if replicas else ''}_{at_once}_at_once"
                found.figures[f"{name}_ms"] = round(statistics.median(took) * 1000, 2)
                options.say(f"{name}: {found.figures[f'{name}_ms']} ms for a submit (median of {len(took)})")


async def _one(client: Client, level: str, took: list[float]) -> None:
    began = time.perf_counter()
    await client.submit("chaos", plans.Note(1), durability=level)
    took.append(time.perf_counter() - began)


@contextlib.contextmanager
def _replica(primary: servers.RedisServer, appendfsync: str) -> Iterator[None]:
    primary.ask("CONFIG SET repl-diskless-sync-delay 0")
    with servers.redis_server(appendfsync=appendfsync) as replica:
        replica.ask(f"REPLICAOF 127.0.0.1 {primary.port}")
        while b"master_link_status:up" not in (replica.ask("INFO replication") or b""):
            time.sleep(0.02)
        yield


# --- the kills -------------------------------------------------------------------------


async def _kill(options: Options, appendfsync: str, level: str) -> Outcome:
    async with stage(options, hosts=2, agents=1, in_flight=30, appendfsync=appendfsync) as on:
        await on.drive(20)
        on.options.say(f"appendfsync {appendfsync}, {level}: the server is killed and started again")
        await on.crew.restart_server()
        answers, ended = time.monotonic(), on.load.ended
        await on.until(lambda: on.load.ended > ended, 15, "nothing ended after the restart")
        on.figures["resumed_after_s"] = time.monotonic() - answers
        on.expect(time.monotonic() - answers < _RESUME_S, f"it took more than {_RESUME_S:g} s to resume")
        await on.flows()
        await on.settle(60)
        on.count(set())
        on.nobody_died()
        return on.outcome(NAME)
