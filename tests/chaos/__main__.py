"""``bin/chaos``: a seeded run of faults, and whether every invariant held."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from coordination.async_client import Client
from coordination.config import current
from coordination.connection import Connection
from tests import servers
from tests.chaos import scenarios
from tests.chaos.check import Report, check, check_server, unfinished
from tests.chaos.crew import Crew
from tests.chaos.drive import Driver
from tests.chaos.faults import Faults

_STUCK_S = 60.0  # without one workflow ending, a run has failed
_SETTLE_S = 90.0  # for the rest, after the last fault

console = Console()


def options() -> argparse.Namespace:
    """What the run shall be."""
    parser = argparse.ArgumentParser("bin/chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long faults are fired")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="replays a run's plans and faults")
    parser.add_argument("--in-flight", type=int, default=400, help="workflows at once")
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between faults")
    parser.add_argument("--scenario", metavar="NAME", help="run one scenario instead, or all; list shows them")
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this folder, which must not exist")
    return parser.parse_args()


async def run(choice: argparse.Namespace, crew: Crew) -> Report:
    """Drive, break, settle, check."""
    report = Report(seed=choice.seed, minutes=choice.minutes)
    direct = msgspec.structs.replace(current(), redis_url=crew.server.url)
    async with Client.open() as client, await Connection.open(direct) as connection:
        driver = Driver(client, choice.seed, choice.in_flight)
        faults = Faults(crew, connection, choice.seed, choice.every)
        driving = asyncio.create_task(driver.run(), name="drive")
        await _until(lambda: bool(driver.results), 60, "the first workflow did not end")
        breaking = asyncio.create_task(faults.run(), name="faults")
        stuck = await _watch(driver, driving, breaking, choice.minutes * 60)
        breaking.cancel()
        await asyncio.gather(breaking, return_exceptions=True)
        driver.stopping = True
        if not stuck:
            stuck = await _settle(crew, driver, driving)
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        if stuck:
            report.broken.append(stuck)
        check(report, crew, driver, faults.fired)
        await check_server(report, connection)
        never = [name for name in faults.kinds if name not in report.faults]
        if choice.minutes >= 2 and never:
            report.broken.append(f"never fired: {', '.join(never)}")
    return report


async def _watch(driver: Driver, driving: asyncio.Task[None], breaking: asyncio.Task[None], seconds: float) -> str:
    started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        shown = progress.add_task("faults", total=seconds)
        while (elapsed := time.monotonic() - started) < seconds:
            await asyncio.sleep(0.5)
            for task in (driving, breaking):
                if task.done():
                    return f"{task.get_name()} ended early: {task.exception()!r}"
            if time.monotonic() - driver.progress_at > _STUCK_S:
                return f"no workflow has ended for {_STUCK_S:.0f} s"
            done = len(driver.results)
            progress.update(shown, completed=elapsed, description=f"{done:,} of {len(driver.accepted):,} ended")
    return ""


async def _settle(crew: Crew, driver: Driver, driving: asyncio.Task[None]) -> str:
    try:
        async with asyncio.timeout(_SETTLE_S):
            await asyncio.wait([driving])
            while unfinished(crew.folder, set(driver.accepted)):
                await asyncio.sleep(0.5)
            await asyncio.sleep(3)  # the relay's last acknowledgements, parents' confirmations
    except TimeoutError:
        open_ones = sorted(set(driver.accepted) - set(driver.results))
        return f"{len(open_ones)} workflows had not ended {_SETTLE_S:.0f} s after the last fault: {open_ones[:5]}"
    return ""


async def _until(condition: object, seconds: float, message: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit(message)
        await asyncio.sleep(0.05)


def show(report: Report) -> None:
    """The report as a table."""
    table = Table(show_header=False, box=None)
    for name, value in msgspec.to_builtins(report).items():
        if name != "broken":
            table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)
    for line in report.broken[:20]:
        console.print("broken", line, style="red", markup=False, highlight=False, soft_wrap=True)
    verdict = "[red]Invariants broke.[/red]" if report.broken else "[green]Every invariant held.[/green]"
    console.print(f"{verdict} Replay with --seed {report.seed} --minutes {report.minutes:g}.")


def main() -> int:
    """Run; 0 when every invariant held."""
    choice = options()
    if choice.scenario:
        return scenarios.main(choice.scenario, choice.seed, choice.minutes, choice.json, choice.keep)
    with servers.folder() as temporary:
        folder = choice.keep or temporary
        folder.mkdir(parents=True, exist_ok=True)
        crew = Crew(folder, choice.hosts, choice.agents)
        for name in ("REDIS_URL", "GANGLION_HOME", "GANGLION_CHAOS_LEDGER"):
            os.environ[name] = crew.environ[name]
        os.environ["GANGLION_APPS"] = "tests.chaos.app"
        current.cache_clear()
        try:
            crew.start()
            report = uvloop.run(run(choice, crew))
        finally:
            crew.stop()
    show(report)
    if choice.json:
        choice.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
