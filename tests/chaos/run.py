"""One run: drive, break, settle, check."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from rich.console import Console as Terminal
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from coordination.async_client import Client
from coordination.config import current
from coordination.connection import Connection
from tests.chaos import faults, history
from tests.chaos.check import check
from tests.chaos.check_server import check_server
from tests.chaos.console import Console
from tests.chaos.crew import Crew
from tests.chaos.drive import Driver
from tests.chaos.gauges import Gauges
from tests.chaos.plans import Work
from tests.chaos.record import Record
from tests.chaos.report import Report
from tests.chaos.samples import Samples
from tests.chaos.scene import Scene

_READY_S = 180.0  # for every host and agent to beat
_STUCK_S = 60.0  # without one workflow ending, a run has failed
_SETTLE_S = 60.0  # without progress after the last fault, a run has failed
_FAULT_S = 150.0  # for a fault that is under way
_SCHEDULE = "chaos-minute"
_LEAST_SCHEDULED_S = 150.0  # a run that lasts so long must have seen a scheduled run


class Run:
    """A run with what it found.

    Args:
        choice: The options.
        crew: Started.
        terminal: For the progress.
    """

    def __init__(self, choice: argparse.Namespace, crew: Crew, terminal: Terminal, command: str) -> None:
        self._choice = choice
        self._crew = crew
        self._terminal = terminal
        self._names = faults.chosen(choice.only)
        self.report = Report(choice.seed, command)

    async def all(self) -> Report:
        """Run to the end and check."""
        choice, report = self._choice, self.report
        direct = msgspec.structs.replace(current(), redis_url=self._crew.server.url)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(Client.open())
            connection = await stack.enter_async_context(await Connection.open(direct))
            console = None
            if self._crew.web is not None:
                console = Console(self._crew.address, self._crew.folder / "home" / "cli-token")
                stack.push_async_callback(console.close)
                await console.schedule(_SCHEDULE, "chaos", msgspec.to_builtins(Work(1)))
            record = Record(self._crew.folder / "acknowledged.log")
            stack.callback(record.close)
            driver = Driver(client, record, choice.seed, choice.in_flight, choice.workflows, console)
            scene = Scene(self._crew, connection, driver, choice.seed)
            await self._ready(client)
            gauges = Gauges(connection, lambda: record.counts.get("accepted", 0) - driver.ended)
            samples = Samples(connection, driver, choice.seed)
            driver.on_end = samples.take
            await self._drive(scene, record, gauges, samples)
            if choice.workflows:
                count = record.counts.get("accepted", 0)
                report.expect(count >= choice.workflows, f"{count} of {choice.workflows} workflows were accepted")
            with self._terminal.status("checking"):
                report.broken += await check_server(connection)
                report.quarantined = await connection.call("XLEN", connection.keys.quarantine)
                check(report, scene, record, samples)
            report.gauges = gauges.read()
            report.expect(not driver.wrong, f"{len(driver.wrong)} clients got something else: {driver.wrong[:3]}")
            report.repeated_submits = driver.repeated
            self._check_faults(scene)
        return report

    def _check_faults(self, scene: Scene) -> None:
        report = self.report
        never = [name for name in self._names if name not in report.faults]
        report.expect(not never, f"never fired: {', '.join(never)}")
        report.broken += [f"soak: {gauge.name} grows" for gauge in report.gauges if gauge.flat is False]
        report.expect(report.journals_compared > 0, "no journal was compared with Redis")
        if self._choice.targets:
            report.broken += report.missed
        if "poison" in report.faults:
            report.expect(report.quarantined > 0, "nothing was set aside, although queues held junk")
        if self._crew.jobs is not None:
            query = "SELECT count(*) FROM dashboard_workflow WHERE labels LIKE '%chaos-minute%' AND state = 'completed'"
            report.scheduled_runs = history.ask(self._crew.history_path, query)[0][0]
            long = report.minutes * 60 >= _LEAST_SCHEDULED_S
            report.expect(report.scheduled_runs > 0 or not long, "the schedule was never run")
            waiting = "SELECT count(*) FROM dashboard_decision WHERE state = 'submitted'"
            left = history.ask(self._crew.history_path, waiting)[0][0]
            report.expect(not left, f"{left} decisions were acknowledged and never sent")

    async def _ready(self, client: Client) -> None:
        """Wait until every host and agent beats and the relay works, so that no time of starting is measured."""
        deadline = time.monotonic() + _READY_S
        with self._terminal.status("starting"):
            while time.monotonic() < deadline:
                hosts, agents = await asyncio.gather(client.inspect.hosts(), client.inspect.agents())
                all_beat = len(hosts) >= len(self._crew.hosts) and len(agents) >= len(self._crew.agents)
                if all_beat and history.is_compared(self._crew.history_path):
                    return
                await asyncio.sleep(0.1)
        raise SystemExit(f"hosts, agents and relay were not there after {_READY_S:.0f} s; see the logs with --keep")

    # --- driving ------------------------------------------------------------------------

    async def _drive(self, scene: Scene, record: Record, gauges: Gauges, samples: Samples) -> None:
        driver, began = scene.driver, time.monotonic()
        driving = asyncio.create_task(driver.run(), name="driving")
        tasks = [driving]
        try:
            tasks += [self._beside(faults.fire(scene, self._names, self._choice.every), "faults")]
            tasks += [self._beside(gauges.run(), "gauges"), self._beside(samples.run(), "samples")]
            stuck = await self._watch(scene, record, tasks)
            scene.stopping = True
            await asyncio.wait([tasks[1]], timeout=_FAULT_S + self._choice.every)
            driver.stopping = driver.stopping or not self._choice.workflows
            self.report.minutes = round((time.monotonic() - began) / 60, 2)
            stuck = stuck or await self._settle(driver, driving, record)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.report.expect(not stuck, stuck)

    @staticmethod
    def _beside(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.create_task(work, name=name)

    async def _watch(self, scene: Scene, record: Record, tasks: list[asyncio.Task[None]]) -> str:
        """Wait for the end of the faults' time, or of the last workflow; says what went wrong meanwhile."""
        choice, driver, started = self._choice, scene.driver, time.monotonic()
        seconds = choice.minutes * 60
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._terminal, transient=True) as progress:
            shown = progress.add_task("", total=choice.workflows or seconds)
            while True:
                await asyncio.sleep(0.5)
                elapsed = time.monotonic() - started
                for task in tasks:
                    if task.done() and not (choice.workflows and task.get_name() == "driving" and not task.exception()):
                        return f"{task.get_name()} ended early: {task.exception()!r}"
                if time.monotonic() - driver.progress_at > _STUCK_S and not tasks[0].done():
                    return f"no workflow has ended for {_STUCK_S:.0f} s"
                self._show(progress, shown, driver.ended if choice.workflows else elapsed, scene, record)
                if tasks[0].done() if choice.workflows else self._is_over(elapsed, seconds, scene):
                    return ""

    def _is_over(self, elapsed: float, seconds: float, scene: Scene) -> bool:
        """When the time is up and every fault has fired, which may take as long again and a minute."""
        missing = set(self._names) - {fault.name for fault in scene.fired}
        return elapsed >= seconds and (not missing or elapsed >= 2 * seconds + 60)

    @staticmethod
    def _show(progress: Progress, shown: TaskID, done: float, scene: Scene, record: Record) -> None:
        accepted = record.counts.get("accepted", 0)
        last = f", last: {scene.fired[-1].name}" if scene.fired else ""
        words = f"{scene.driver.ended:,} of {accepted:,} ended, {len(scene.fired)} faults{last}"
        progress.update(shown, completed=done, description=words)

    async def _settle(self, driver: Driver, driving: asyncio.Task[None], record: Record) -> str:
        """Wait until every workflow has ended and the history shows it, for as long as there is progress."""
        path, seen, at = self._crew.history_path, (0, 0, 0), time.monotonic()
        with self._terminal.status("waiting for the rest"):
            while True:
                living, ended = await asyncio.to_thread(lambda: (history.living(path), history.ended(path)))
                accepted = record.counts.get("accepted", 0)
                if driving.done() and not living and ended >= accepted:
                    return ""
                now = (driver.ended, living, ended)
                if now != seen:
                    seen, at = now, time.monotonic()
                elif time.monotonic() - at > _SETTLE_S:
                    left = f"{accepted - driver.ended} workflows have not ended, and {living} not in the history"
                    return f"{left}: nothing has moved for {_SETTLE_S:.0f} s"
                await asyncio.sleep(0.5)
