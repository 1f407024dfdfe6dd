"""Runs all processes until a signal, then stops them in the order in which work flows."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from config.up import processes, server
from config.up.child import Child, Program
from config.up.options import Options
from config.up.output import Output
from config.up.preparation import Preparation, manage
from config.up.problems import CannotStart

READY_S = 180.0


class Supervisor:
    """Everything of one run; nothing it started outlives ``run``."""

    def __init__(self, options: Options, output: Output, listener: int) -> None:
        self._options = options
        self._output = output
        self._listener = listener
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: list[list[Child]] = []  # in the order of stopping
        self._began = time.monotonic()

    async def run(self) -> None:
        """Start everything, say where it is, and wait for SIGTERM or Ctrl-C.

        Raises:
            CannotStart: Some part did not become ready; all others have been stopped again.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        socket_path: Path | None = None
        try:
            async with asyncio.timeout(READY_S):
                environ = dict(os.environ)
                if self._options.redis_url is None:
                    socket_path = server.socket_path(self._options.home)
                    environ["REDIS_URL"] = f"unix://{socket_path}"
                await self._unless_stopped(self._start(environment(self._options, environ), socket_path))
            await self._unless_stopped(self._wait_for_signal())
        except TimeoutError:
            late = ", ".join(c.program.name for group in self._running for c in group if not c.ready.is_set())
            raise CannotStart(f"Not ready within {READY_S:g} s: {late or 'the set-up'}; see its lines above.") from None
        finally:
            await self._end()
            if socket_path is not None:
                socket_path.unlink(missing_ok=True)
                if socket_path.parent != self._options.home:
                    socket_path.parent.rmdir()

    async def _start(self, environ: Mapping[str, str], socket_path: Path | None) -> None:
        if socket_path is not None:
            await server.end_leftover(socket_path)
            self._launch([[processes.embedded_server(self._options.home, socket_path)]], environ)
        preparation = asyncio.ensure_future(Preparation(self._options, self._output, environ).all())
        try:
            await self._all_ready()
            await preparation
        except BaseException:
            preparation.cancel()
            await asyncio.gather(preparation, return_exceptions=True)
            raise
        self._launch(processes.stages(self._options, self._listener), environ)
        welcome = await manage(environ, self._output, "welcome", "--base-url", self._options.address)
        await self._all_ready()
        self._banner(welcome.strip())

    def _launch(self, stages: list[list[Program]], environ: Mapping[str, str]) -> None:
        children = [[Child(program, self._output, environ) for program in stage] for stage in stages]
        self._running = children + self._running
        for child in (child for stage in children for child in stage):
            self._tasks.add(asyncio.create_task(child.run(), name=child.program.name))

    async def _all_ready(self) -> None:
        await asyncio.gather(*(child.ready.wait() for stage in self._running for child in stage))

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Do some work, until it ends, a signal comes, or a child gives up."""
        doing = asyncio.create_task(work, name="work")
        stopped = asyncio.create_task(self._wait_for_signal(), name="signal")
        try:
            await asyncio.wait({doing, stopped, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in (*self._tasks, doing):
                if task.done():
                    task.result()
        finally:
            for task in (doing, stopped):
                task.cancel()
            await asyncio.gather(doing, stopped, return_exceptions=True)

    async def _wait_for_signal(self) -> None:
        await self._stop.wait()

    async def _end(self) -> None:
        """Stop stage by stage: pages, agents, coordinators, relay, jobs, and the server when all is written."""
        began = time.monotonic()
        if self._running:
            self._output.plain("Stopping …")
        for stage in self._running:
            await asyncio.gather(*(child.stop() for child in stage))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._running:
            self._output.plain(f"Stopped in {time.monotonic() - began:.1f} s. Nothing accepted is lost.")

    def _banner(self, link: str) -> None:
        took = time.monotonic() - self._began
        self._output.plain(
            f"\nGanglion is ready after {took:.1f} s: {self._options.address}/\n"
            f"Log in once with: {link}\n"
            f"Data: {self._options.home}   Stop: Ctrl-C\n"
        )


def environment(options: Options, environ: dict[str, str]) -> dict[str, str]:
    """What every process inherits."""
    environ["GANGLION_HOME"] = str(options.home)
    environ["PYTHONUNBUFFERED"] = "1"
    environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if not _is_local(environ.get("GANGLION_PUBLIC_URL", "")):
        environ["GANGLION_LAB"] = "0"
    environ.setdefault("GANGLION_LAB", "1")
    for name in ("PYTHONSAFEPATH", "GANGLION_READY_FD"):
        environ.pop(name, None)
    return environ


def _is_local(url: str) -> bool:
    """Whether only this machine reaches the console; then parts of it may be killed on purpose, in the lab."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
