"""The processes under test: started, killed, frozen and started again by their pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.chaos.proxy import Proxy
from tests.servers import RedisServer

ROOT = Path(__file__).resolve().parents[2]


class Member:
    """One process that is started again when it ends, as a supervisor would."""

    def __init__(self, name: str, command: list[str], environ: dict[str, str], log: Path) -> None:
        self.name = name
        self._command = command
        self._environ = environ
        self._log = log
        self.wanted = False
        self.frozen_until = 0.0
        self.ends: list[tuple[int, float]] = []  # pid and when it was killed
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
            self._process = subprocess.Popen(self._command, env=self._environ, stdout=log, stderr=log, cwd=ROOT)

    def look(self) -> None:
        """Start it again if it has ended, let it go on if its frost is over."""
        if self.frozen_until and time.monotonic() >= self.frozen_until:
            self.frozen_until = 0.0
            self.send(signal.SIGCONT)
        if self.wanted and self._process is not None and self._process.poll() is not None:
            self.start()

    def send(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        if number == signal.SIGKILL:
            self.ends.append((self.pid, time.time()))
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    def freeze(self, seconds: float) -> None:
        """Stop it for a while."""
        self.ends.append((self.pid, time.time()))
        self.send(signal.SIGSTOP)
        self.frozen_until = time.monotonic() + seconds

    def stop(self) -> None:
        """End it for good, gently first."""
        self.wanted = False
        if self._process is None or self._process.poll() is not None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Crew:
    """Server, hosts, agents, relay and ledger, in one folder."""

    def __init__(self, folder: Path, hosts: int, agents: int) -> None:
        self.folder = folder
        self.server = RedisServer(folder / "redis", path=folder / "redis.sock", appendonly="yes")
        self.proxy = Proxy(folder / "proxy.sock", folder / "redis.sock")
        self.environ = {
            **os.environ,
            "REDIS_URL": f"unix://{folder / 'proxy.sock'}",
            "GANGLION_HOME": str(folder / "home"),
            "GANGLION_EXTRA_APPS": "tests.chaos.app",
            "GANGLION_CHAOS_LEDGER": str(folder / "ledger.sock"),
            "GANGLION_BACKOFF_S": "0.1",
            "GANGLION_PARK_AFTER_S": "2",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(ROOT),
        }
        manage = [sys.executable, str(ROOT / "manage.py")]
        self.hosts = [
            self._member(f"host-{n}", [*manage, "run_coordinator", "--name", f"host-{n}"]) for n in range(hosts)
        ]
        self.agents = [
            self._member(f"agent-{n}", [*manage, "run_agent", "--module", "tests.chaos.app", "--name", f"agent-{n}"])
            for n in range(agents)
        ]
        self.relay = self._member("relay", [*manage, "run_relay"])
        ledger = [sys.executable, "-m", "tests.chaos.ledger", str(folder / "ledger.sock"), str(folder / "ledger.log")]
        self.ledger = self._member("ledger", ledger)
        self._done = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def _member(self, name: str, command: list[str]) -> Member:
        return Member(name, command, self.environ, self.folder / f"{name}.log")

    @property
    def members(self) -> list[Member]:
        """All but the ledger, which no fault touches."""
        return [*self.hosts, *self.agents, self.relay]

    def start(self) -> None:
        """Start everything."""
        (self.folder / "home").mkdir(parents=True)
        self.server.start()
        self.proxy.start()
        migrate = [sys.executable, str(ROOT / "manage.py"), "migrate", "-v", "0"]
        subprocess.run(migrate, env=self.environ, check=True, cwd=ROOT)
        for member in (self.ledger, *self.members):
            member.start()
        self._keeper.start()

    def _keep(self) -> None:
        while not self._done.wait(0.1):
            for member in self.members:
                member.look()

    def stop(self) -> None:
        """End everything, the server last."""
        self._done.set()
        self._keeper.join()
        for member in (*self.members, self.ledger):
            member.stop()
        self.proxy.stop()
        self.server.stop()
