"""The processes that do the work, each started when a measurement wants it.

The same programs with the same settings as ``bin/up`` starts, without the console and the jobs, which are idle
while work is measured. So hosts can be held back until a backlog stands, and started one by one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.history import store
from bench.stack import ROOT, START_S, Bare, StackFailed
from config.up.processes import YIELDS

MANAGE = (sys.executable, str(ROOT / "manage.py"))


class Parts(Bare):
    """Server and relay; agents and hosts as they are asked for.

    Args:
        settings: Further environment of every process.
        history: A SQLite file that the history begins with; what lives in it is ended, because nothing runs it.
    """

    def __init__(self, settings: dict[str, str] | None = None, history: Path | None = None) -> None:
        super().__init__(agents=False)
        self.environ |= settings or {}
        self._history = history

    def start(self) -> None:
        """Start the server and the relay."""
        if self._history is not None:
            shutil.copy(self._history, self.home / "ganglion.sqlite3")
            store.only_ended(self.home / "ganglion.sqlite3")
        super().start()
        self.manage("migrate", "-v0")
        self.begin("run_relay")

    def manage(self, *arguments: str) -> None:
        """Run a management command to its end."""
        done = subprocess.run(
            [*MANAGE, *arguments], cwd=ROOT, env=self.client_environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StackFailed(f"{' '.join(arguments)}: {' | '.join(done.stderr.strip().splitlines()[-3:])}")

    def begin(self, *arguments: str, nice: int = 0) -> subprocess.Popen[bytes]:
        """Start a daemon, which steps back by ``nice``, and return when it says that it is ready."""
        reading, writing = os.pipe()
        with (self.home / f"{'-'.join(arguments[::2])[:60].replace('/', '-')}.log").open("ab") as log:
            process = subprocess.Popen(
                [*MANAGE, *arguments], cwd=ROOT, env={**self.client_environ, "GANGLION_READY_FD": str(writing)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=(writing,),
            )  # fmt: skip
        os.close(writing)
        os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + nice)
        self._started.append(process)
        with os.fdopen(reading, "rb") as pipe:
            if pipe.read(1) != b"1":
                raise StackFailed(f"{arguments[0]} was not ready within {START_S:g} s, or ended.")
        return process

    def hosts(self, count: int) -> list[subprocess.Popen[bytes]]:
        """Start coordinator hosts."""
        return [self.begin("run_coordinator", "--name", f"coordinator-{n}", nice=YIELDS) for n in range(1, count + 1)]

    def workers(self, module: str, count: int, *more: str) -> list[subprocess.Popen[bytes]]:
        """Start agent processes."""
        name = module.split(".")[1]
        return [
            self.begin("run_agent", "--module", module, "--name", f"{name}-{n}", *more, nice=YIELDS)
            for n in range(1, count + 1)
        ]

    def end_all(self, processes: list[subprocess.Popen[bytes]]) -> None:
        """Stop processes in good order, all at the same time."""
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in processes:
            self.end(process)
