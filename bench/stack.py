"""Private servers and processes for a measurement; nothing of them is left after the ``with`` block.

``Stack`` is Ganglion as ``bin/up`` starts it: the same supervisor, server, processes and settings. ``Bare`` is
the same server with the same agents and nothing else, for what is compared with it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Process, tree
from config.up import server

ROOT = Path(__file__).resolve().parent.parent
READY = re.compile(r"Ganglion is ready after ([0-9.]+) s")
SERVES = "agent serves"  # what a worker says when it is ready
START_S, STOP_S = 180.0, 60.0
CLEARED = ("REDIS_URL", "DATABASE_URL", "PYTHONSAFEPATH", "DJANGO_SETTINGS_MODULE")
WAITING_AGENTS = ("manage.py", "run_agent", "--module", "bench.waiting.agents", "--concurrency", "1000", "--name")


class StackFailed(Exception):
    """Something that is to be measured did not start or did not answer; says what it printed last."""


class Private:
    """A folder, an environment, and processes that end with it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="gbench-", ignore_cleanup_errors=True)
        self.home = Path(self._folder.name)
        self.socket_path = self.home / "redis.sock"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GANGLION_") and k not in CLEARED}
        self.environ = {
            **kept,
            "GANGLION_HOME": str(self.home),
            "GANGLION_EXTRA_APPS": "bench.workload",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def client_environ(self) -> dict[str, str]:
        """What a process needs that is started beside: the server's address and the workflow types."""
        return {**self.environ, "REDIS_URL": f"unix://{self.socket_path}", "GANGLION_APPS": "bench.workload"}

    @property
    def processes(self) -> list[Process]:
        """Everything that runs now."""
        return [found for process in self._started if process.poll() is None for found in tree(process.pid)]

    def named(self, name: str) -> list[int]:
        """The processes of one name."""
        return [process.pid for process in self.processes if process.name == name]

    def start(self) -> None:
        """Start what belongs to it."""
        raise NotImplementedError

    def run(
        self, command: Sequence[str], environ: dict[str, str] | None = None, announces: str | re.Pattern[str] = "",
        user: str | None = None,
    ) -> tuple[subprocess.Popen[bytes], re.Match[str]]:  # fmt: skip
        """Start a process, as another user where one is named, and wait until what it prints holds some words.

        Raises:
            StackFailed: It ended, or said nothing of the kind in time.
        """
        path = self.home / f"process-{len(self._started)}.log"
        with path.open("wb") as stream:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environ or self.client_environ, stdout=stream, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, user=user, group=user, extra_groups=[] if user else None,
            )  # fmt: skip
        self._started.append(process)
        words = announces if isinstance(announces, re.Pattern) else re.compile(re.escape(announces))
        until = time.monotonic() + START_S
        while True:
            text = path.read_text(errors="replace")
            found = words.search(text)
            if found:
                return process, found
            if process.poll() is not None:
                raise StackFailed(f"{' '.join(command[:4])} … ended with code {process.returncode}: {_last(text)}")
            if time.monotonic() > until:
                raise StackFailed(f"{' '.join(command[:4])} … was not ready within {START_S:g} s: {_last(text)}")
            time.sleep(0.02)

    def start_redis(self) -> None:
        """Start the embedded server with the settings that bin/up gives it, on the socket of this folder."""
        folder = self.home / "redis"
        folder.mkdir()
        command = server.command(server.program(), folder, path=self.socket_path)
        self.run(command, {**self.environ, **server.environment()})
        until = time.monotonic() + 30
        while not _answers(self.socket_path):
            if time.monotonic() > until:
                raise StackFailed(f"The server did not answer: {_last(server.log_path(folder).read_text())}")
            time.sleep(0.02)

    def run_python(self, *arguments: str, announces: str) -> subprocess.Popen[bytes]:
        """Start a Python program of this repository beside the others."""
        return self.run([sys.executable, *arguments], announces=announces)[0]

    def waiting_agents(self) -> subprocess.Popen[bytes]:
        """Start the agents that really wait."""
        return self.run_python(*WAITING_AGENTS, "waiting", announces=SERVES)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Stop one process in good order."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def stop(self) -> None:
        """Stop everything, the last started first, and take the folder away."""
        for process in reversed(self._started):
            self.end(process)
        self._folder.cleanup()


class Stack(Private):
    """One run of ``bin/up``.

    Args:
        hosts: Coordinator hosts.
    """

    def __init__(self, hosts: int = 2) -> None:
        super().__init__()
        self.hosts = hosts
        self.ready_s = 0.0

    def start(self) -> None:
        """Start the supervisor, and wait until everything is ready."""
        command = [sys.executable, "-P", "-m", "config.up", "--home", str(self.home), "--hosts", str(self.hosts)]
        _, ready = self.run([*command, "--port", str(free_port())], self.environ, READY)
        self.ready_s = float(ready[1])


class Bare(Private):
    """The embedded server with its settings, and a worker with the agents that return at once."""

    def __init__(self, agents: bool = True) -> None:
        super().__init__()
        self._agents = agents

    def start(self) -> None:
        """Start the server, then the worker."""
        self.start_redis()
        if self._agents:
            arguments = ("manage.py", "run_agent", "--module", "bench.workload.agents", "--name", "workload")
            self.run_python(*arguments, announces=SERVES)


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(2)
            link.connect(str(path))
            link.sendall(b"PING\r\n")
            return link.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _last(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-5:]) or "it printed nothing"


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
