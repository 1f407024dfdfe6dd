"""The whole of Ganglion as ``bin/up`` starts it, for tests that look at it from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"Log in once with: (\S+)")
READY = re.compile(r"Ganglion is ready after ([0-9.]+) s")


def environment(home: Path, **more: str) -> dict[str, str]:
    """This program's environment without what names other servers or settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GANGLION_") and k != "DJANGO_SETTINGS_MODULE"}
    for name in ("REDIS_URL", "DATABASE_URL", "PYTHONPATH"):
        kept.pop(name, None)
    return {**kept, "GANGLION_HOME": str(home), **more}


def live_members(groups: set[int]) -> list[str]:
    """The command lines of live processes that belong to the given process groups."""
    answer = subprocess.run(["ps", "-ww", "-eo", "pid=,pgid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = (line.split(None, 3) for line in answer.stdout.splitlines())
    return [" ".join(row) for row in rows if int(row[1]) in groups and not row[2].startswith("Z")]


def children_of(pid: int) -> set[int]:
    """The direct children of a process; the supervisor gives each a process group of its own."""
    answer = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    rows = (line.split() for line in answer.stdout.splitlines())
    return {int(row[0]) for row in rows if int(row[1]) == pid}


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Look again and again at something that nothing tells about, as another program's processes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds:g} s"
        time.sleep(0.02)


class Stack:
    """One run of ``bin/up`` in a home of its own.

    Args:
        folder: Holds the home and the log.
        port: The console's.
        environ: Further variables, as ``REDIS_URL``.
    """

    def __init__(self, folder: Path, port: int, **environ: str) -> None:
        self.home = folder / "home"
        self.log_path = folder / "log"
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.environ = environment(self.home, **environ)
        self.process: subprocess.Popen[bytes] | None = None
        self.groups: set[int] = set()

    @property
    def log(self) -> str:
        """What the present run has printed."""
        return self.log_path.read_text(errors="replace")

    @property
    def login_link(self) -> str:
        """The link that the present run printed."""
        found = LINK.search(self.log)
        assert found, self.log[-3000:]
        return found.group(1)

    def start(self, *, wait_s: float = 300.0, program: tuple[str, ...] = (str(ROOT / "bin" / "up"),)) -> float:
        """Start, and return when everything is ready.

        Returns:
            Seconds from the command to the printed address.
        """
        assert self.process is None, "it runs already"
        began = time.monotonic()
        with self.log_path.open("wb") as stream:
            self.process = subprocess.Popen(
                [*program, "--port", str(self.port), "--home", str(self.home)],
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environ,
                cwd=self.log_path.parent,
            )
        while not READY.search(self.log) or not LINK.search(self.log):
            assert self.process.poll() is None, f"bin/up ended:\n{self.log[-3000:]}"
            if time.monotonic() - began > wait_s:
                self.end(signal.SIGTERM)
                raise AssertionError(f"bin/up was not ready in time:\n{self.log[-3000:]}")
            time.sleep(0.02)
        took_s = time.monotonic() - began
        self.groups = children_of(self.process.pid)
        return took_s

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to the supervisor alone, and wait for its end.

        Returns:
            Its exit code.
        """
        assert self.process is not None
        self.groups |= children_of(self.process.pid)
        self.process.send_signal(number)
        code = self.process.wait(120)
        self.process = None
        return code

    def left_now(self) -> list[str]:
        """What runs now, those that were started again included."""
        assert self.process is not None
        self.groups |= children_of(self.process.pid)
        return self.left()

    def left(self) -> list[str]:
        """What still runs of the last start."""
        return live_members(self.groups)

    def manage(self, *arguments: str) -> str:
        """Run a management command beside it."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
