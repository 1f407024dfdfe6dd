"""The processes under test: started, killed, frozen and started again by their pid."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from config.up import server as embedded
from tests.chaos import ledger
from tests.chaos.proxy import Proxy
from tests.servers import RedisServer

ROOT = Path(__file__).resolve().parents[2]
_STOP_S = 20


def stands_still(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Member:
    """One process that is started again when it ends, as a supervisor would.

    Attributes:
        name: What it is called in logs and reports.
        ends: Each pid of it that was killed or frozen, and when.
        restarts: How often it was started again.
    """

    def __init__(self, name: str, command: list[str], environ: dict[str, str], log: Path, fds: tuple[int, ...]) -> None:
        self.name = name
        self._command = command
        self._environ = environ
        self._log = log
        self._fds = fds
        self.wanted = False
        self.ends: list[tuple[int, float]] = []
        self.restarts = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its present pid."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and keep it started."""
        self.wanted = True
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environ, stdout=log, stderr=log, cwd=ROOT, pass_fds=self._fds,
                start_new_session=True,
            )  # fmt: skip

    def look(self) -> None:
        """Start it again if it has ended."""
        if self.wanted and self._process is not None and self._process.poll() is not None:
            self.restarts += 1
            self._sweep()
            self.start()

    def send(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> bool:
        """End it by SIGKILL; whether that is what ended it."""
        assert self._process is not None
        self.ends.append((self.pid, time.time()))
        self.send(signal.SIGKILL)
        return self._process.wait() == -signal.SIGKILL

    @contextlib.asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Keep it stopped inside the block."""
        self.ends.append((self.pid, time.time()))
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def stop(self) -> None:
        """End it for good, gently first."""
        self.wanted = False
        if self._process is None:
            return
        if self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._sweep()

    def _sweep(self) -> None:
        """End what a process that was killed has left behind in its session, as the clock of the periodic jobs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


class Crew:
    """Server, hosts, agents, relay and ledger, in one folder.

    Behind the proxy hosts and agents reach the server by TCP, all others by a Unix socket; without it, all do.

    Args:
        folder: Holds everything; its path must be short enough for sockets.
        hosts: Coordinator hosts.
        agents: Agent workers.
        console: Whether the web process and the periodic jobs run too.
        proxied: Whether a proxy stands in front of the server, as faults of the network need it.
        settings: Further variables of the environment.
    """

    def __init__(
        self,
        folder: Path,
        hosts: int,
        agents: int,
        *,
        console: bool = False,
        proxied: bool = True,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.server = RedisServer(folder / "redis", path=folder / "redis.sock", appendonly="yes")
        self.proxy = Proxy(folder / "proxy.sock", folder / "redis.sock")
        self.environ = {
            **os.environ,
            "REDIS_URL": f"unix://{folder / ('proxy.sock' if proxied else 'redis.sock')}",
            "GANGLION_HOME": str(folder / "home"),
            "GANGLION_EXTRA_APPS": "tests.chaos.app",
            ledger.VARIABLE: str(folder / "ledger.pipe"),
            "GANGLION_BACKOFF_S": "0.1",
            "GANGLION_PARK_AFTER_S": "2",
            "GANGLION_RESULT_TTL_S": "120",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(ROOT),
            **(settings or {}),
        }
        by_tcp = {"REDIS_URL": f"redis://127.0.0.1:{self.proxy.port}/0", **(settings or {})} if proxied else {}
        manage = [sys.executable, str(ROOT / "manage.py")]
        witness = [sys.executable, "-m", "tests.chaos.witness", "run_coordinator"]
        self.hosts = [self._member(f"host-{n}", [*witness, "--name", f"host-{n}"], by_tcp) for n in range(hosts)]
        work = [*manage, "run_agent", "--module", "tests.chaos.app"]
        self.agents = [self._member(f"agent-{n}", [*work, "--name", f"agent-{n}"], by_tcp) for n in range(agents)]
        self.relay = self._member("relay", [*manage, "run_relay"])
        receive = [sys.executable, "-m", "tests.chaos.ledger", str(folder / "ledger.pipe"), str(self.ledger_path)]
        self.ledger = self._member("ledger", receive)
        self.web: Member | None = None
        self.jobs: Member | None = None
        self._listener: socket.socket | None = None
        if console:
            self._listener = embedded.listen(0)
            serve = [sys.executable, "-m", "config.web", "--fd", str(self._listener.fileno())]
            self.web = self._member("web", serve, fds=(self._listener.fileno(),))
            self.jobs = self._member("jobs", [sys.executable, "-m", "config.jobs"])
        self._done = threading.Event()
        self._starting = threading.RLock()  # of the main thread too, which a signal may interrupt inside
        self._starter = ThreadPoolExecutor(1, "starter")  # the server ends with the thread that started it
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def _member(
        self, name: str, command: list[str], further: dict[str, str] | None = None, fds: tuple[int, ...] = ()
    ) -> Member:
        return Member(name, command, {**self.environ, **(further or {})}, self.folder / f"{name}.log", fds)

    @property
    def ledger_path(self) -> Path:
        """The ledger's file."""
        return self.folder / "ledger.log"

    @property
    def history_path(self) -> Path:
        """The history's file."""
        return self.folder / "home" / "ganglion.sqlite3"

    @property
    def address(self) -> str:
        """Where the web process answers."""
        assert self._listener is not None
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def members(self) -> list[Member]:
        """All but the ledger, which no fault touches."""
        console = [member for member in (self.web, self.jobs) if member is not None]
        return [*self.hosts, *self.agents, self.relay, *console]

    def manage(self, *arguments: str) -> None:
        """Run a management command to its end."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        subprocess.run(command, env=self.environ, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        """Start everything, unless it is told to stop meanwhile."""
        with self._starting:
            self._start()

    def _start(self) -> None:
        (self.folder / "home").mkdir(parents=True)
        self._starter.submit(self.server.start).result()
        self.proxy.start()
        self.manage("migrate", "-v", "0")
        if self.web is not None:
            self.manage("welcome")  # writes the token that the driver's decisions carry
            self.manage("collectstatic", "--noinput", "-v", "0")
        if self._done.is_set():
            return
        for member in (self.ledger, *self.members):
            member.start()
        self._keeper.start()

    async def restart_server(self) -> None:
        """Kill the server by SIGKILL and start it again on its data."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._starter, self.server.kill)
        await loop.run_in_executor(self._starter, self.server.start)

    def _keep(self) -> None:
        while not self._done.wait(0.1):
            for member in self.members:
                member.look()

    def stop(self) -> None:
        """End everything, the server last."""
        self._done.set()
        with self._starting:
            self._stop()

    def _stop(self) -> None:
        if self._keeper.is_alive():
            self._keeper.join()
        for member in (*self.members, self.ledger):
            member.stop()
        self.proxy.stop()
        self.server.stop()
        self._starter.shutdown()
        if self._listener is not None:
            self._listener.close()
