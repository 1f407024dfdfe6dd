"""What every peer is to the bench: servers and workers of its own, and engines that a client can drive."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.cells import Cell
from bench.peers.environment import Environment
from bench.processes import tree
from bench.stack import Private, StackFailed

READY = "peer worker is ready"  # what a worker prints that can say so itself
START_S = 60.0


@dataclass(frozen=True)
class Engine:
    """One way to run the workflow on a peer.

    Attributes:
        name: How tables call it.
        variant: How the client knows it.
        target: How many times its throughput Ganglion means to reach at 200 in flight; 0 where nothing is set.
    """

    name: str
    variant: str = ""
    target: float = 0.0


class Peer(Private):
    """Another engine on this machine, on loopback, in a folder of its own; it ends with the ``with`` block.

    Args:
        environment: Its packages.
        step_s: How long each step takes; nothing as a rule, and some time where a crash is to find work in flight.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    engines: ClassVar[tuple[Engine, ...]]
    packages: ClassVar[tuple[str, ...]]
    durability: ClassVar[str]
    settings: ClassVar[str]
    recovers: ClassVar[bool] = True  # false where the engine promises nothing of the kind

    def __init__(self, environment: Environment, step_s: float = 0.0) -> None:
        super().__init__()
        self.environment = environment
        self.step_s = step_s
        self.addresses: dict[str, str] = {}
        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def client_environ(self) -> dict[str, str]:
        """The addresses of the servers, and how long a step takes; nothing is to leave this machine."""
        quiet = {"DO_NOT_TRACK": "1", "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
        return {**self.environ, **quiet, **self.addresses, "BENCH_STEP_S": f"{self.step_s:g}"}

    def start(self) -> None:
        """Start servers and workers, and return when they take work."""
        self.start_servers()
        self.start_workers()

    def start_servers(self) -> None:
        """Start what the workers need, and set the addresses."""
        raise NotImplementedError

    def start_workers(self) -> None:
        """Start the processes that run workflows and steps; also after they were killed."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """How it is set up, for the JSON file and the tables."""
        told = self.environment.packages(self.packages).items()
        packages = {name: {"version": version, "licence": licence} for name, (version, licence) in told}
        return {
            "peer": self.title, "packages": packages, "settings": self.settings, "durability": self.durability
        }  # fmt: skip

    def cell(self, engine: Engine, in_flight: int) -> Cell:
        """What is measured of an engine."""
        command = (self.environment.python, "-m", "bench.peers.client", f"bench.peers.{self.name}.client")
        return Cell(engine.name, in_flight, self.durability, client=("--variant", engine.variant), command=command)

    def start_worker(self, *command: str, announces: str = READY) -> None:
        """Start one process of the workers."""
        self.workers.append(self.run(command, announces=announces)[0])

    def stop(self) -> None:
        """End the workers at once: some wait for their server's connections, and nothing of theirs is to be kept."""
        self.kill_workers()
        super().stop()

    def kill_workers(self) -> None:
        """SIGKILL all workers with everything they have started."""
        for worker in self.workers:
            for process in tree(worker.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            worker.wait(10)
        self.workers.clear()


def until(check: Callable[[], bool], what: str) -> None:
    """Wait until something answers.

    Raises:
        StackFailed: It did not in time.
    """
    last = time.monotonic() + START_S
    while not check():
        if time.monotonic() > last:
            raise StackFailed(f"{what} did not answer within {START_S:g} s")
        time.sleep(0.1)


def listens(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
