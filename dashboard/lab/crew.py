"""The processes that an experiment starts for itself; none outlives it, nor the web process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings

from dashboard.lab.load.agents import LEDGER

STOP_S = 5.0


class Crew:
    """A folder and processes that end with the ``with`` block."""

    def __init__(self) -> None:
        self._folder: Path = settings.HOME / "lab"
        shutil.rmtree(self._folder, ignore_errors=True)  # of an experiment whose web process was killed
        self._folder.mkdir(parents=True)
        self.ledger = self._folder / "ledger"
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self, *arguments: str, output: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start a Python program of this project; it knows where the ledger is."""
        environ = {name: value for name, value in os.environ.items() if name != "GANGLION_READY_FD"}
        process = subprocess.Popen(  # noqa: S603 - a fixed command of this project
            [sys.executable, "-m", "dashboard.lab.bound", str(os.getpid()), sys.executable, *arguments],
            cwd=settings.BASE_DIR,
            env={**environ, LEDGER: str(self.ledger), "PYTHONPATH": str(settings.BASE_DIR)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._started.append(process)
        return process

    def agent(self, name: str) -> subprocess.Popen[str]:
        """Start a worker with the agents of the experiment."""
        return self.start("manage.py", "run_agent", "--module", "dashboard.lab.load.agents", "--name", name)
