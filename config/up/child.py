"""One process under the supervisor: started, waited for until it is ready, restarted, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import dataclasses
import functools
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from config.up.options import ROOT
from config.up.output import Output
from config.up.problems import CannotStart

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
HEALTHY_S = 30.0  # a process that lived this long starts again without a long pause
STARTS = 3  # tries for the first readiness
_PARENT_DIED = 1  # PR_SET_PDEATHSIG


@dataclasses.dataclass(frozen=True)
class Program:
    """What to run and how long it may take to stop."""

    name: str
    command: tuple[str, ...]
    stop_s: float = 10.0
    descriptors: tuple[int, ...] = ()
    answers: Callable[[], Awaitable[bool]] | None = None  # asked for readiness, where the program cannot announce it
    extra: Mapping[str, str] = dataclasses.field(default_factory=dict)
    log: Path | None = None  # where it writes instead of to its output
    nice: int = 0  # how far it steps back where processors are short, in steps of nice(2)


class Child:
    """Keeps one program running until it is told to stop, and leaves nothing of it behind."""

    def __init__(self, program: Program, output: Output, environ: Mapping[str, str]) -> None:
        self.program = program
        self.ready = asyncio.Event()
        self._output = output
        self._environ = {**environ, **program.extra}
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Run the program, again and again with growing pauses, until ``stop``.

        Raises:
            CannotStart: It was never ready: its settings are wrong (exit code 2), or it ended several times.
        """
        pause_s, starts = FIRST_PAUSE_S, 0
        while not self._stopping.is_set():
            began = time.monotonic()
            starts += 1
            code, last = await self._once()
            if self._stopping.is_set():
                return
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            if not self.ready.is_set() and (code == 2 or starts >= STARTS):
                raise CannotStart(f"{self.program.name} {how}: {last or self._logged() or 'it said nothing'}")
            if time.monotonic() - began > HEALTHY_S:
                pause_s = FIRST_PAUSE_S
            self._output.line(self.program.name, f"{how}; starts again in {pause_s:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def stop(self) -> None:
        """Ask the program to end; after its time, end it, and with it everything it started."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.program.stop_s)
        except TimeoutError:
            self._output.line(self.program.name, f"did not stop within {self.program.stop_s:g} s and is ended")
        self._sweep(process.pid)
        await process.wait()
        self._output.line(self.program.name, "stopped")

    async def _once(self) -> tuple[int, str]:
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self.program.command,
                cwd=ROOT,
                env={**self._environ, "GANGLION_READY_FD": str(writing)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(writing, *self.program.descriptors),
                process_group=0,  # Ctrl-C reaches the supervisor alone; in a session of its own nice would mean nothing
                preexec_fn=functools.partial(_begin, self.program.nice),
            )
        except OSError as error:
            os.close(reading)
            return 2, f"{self.program.command[0]}: {error.strerror}"
        finally:
            os.close(writing)
        self._process = process
        assert process.stdout is not None
        if self._stopping.is_set():  # the order to stop came while the process was being made
            process.terminate()
        try:
            async with asyncio.TaskGroup() as group:
                lines = group.create_task(self._output.follow(self.program.name, process.stdout), name="lines")
                gate = group.create_task(self._gate(reading), name="gate")
                code = await process.wait()
                gate.cancel()
                self._sweep(process.pid)
        finally:
            self._sweep(process.pid)
            self._process = None
        return code, lines.result()

    def _logged(self) -> str:
        """The last line of the program's own log, and where that is."""
        if self.program.log is None or not self.program.log.exists():
            return ""
        lines = self.program.log.read_text(errors="replace").strip().splitlines() or [""]
        return f"{lines[-1]} (see {self.program.log})"

    async def _gate(self, descriptor: int) -> None:
        """Set ``ready`` when the program announces itself, or answers."""
        if self.program.answers is not None:
            os.close(descriptor)
            while not await self.program.answers():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            self.ready.set()
            return
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(descriptor, readable.set)
        try:
            await readable.wait()
            if os.read(descriptor, 1):
                self.ready.set()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    @staticmethod
    def _sweep(group: int) -> None:
        """End what is left of the program's process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _begin(nice: int) -> None:
    end_with_parent()
    os.nice(nice)


def end_with_parent() -> None:
    """On Linux, let the kernel end this process when the supervisor dies by force."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGTERM)
