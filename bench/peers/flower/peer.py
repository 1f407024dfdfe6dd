"""Celery with Flower, which shows what tasks do: they have to tell of it."""

from __future__ import annotations

from bench.peers.celery.peer import CeleryPeer
from bench.peers.peer import Engine
from bench.stack import free_port


class FlowerPeer(CeleryPeer):
    """As ``CeleryPeer``, with events on and Flower taking them in, as Ganglion is measured with its console."""

    name = "flower"
    title = "Celery with Flower"
    engines = (Engine("celery canvas with Flower"),)
    packages = ("celery", "flower", "kombu", "redis")
    settings = "as Celery, with events on and Flower beside it (tasks in memory, no page open)"
    recovers = False  # no otherwise than Celery alone, whose workers are killed

    def start_servers(self) -> None:
        """The server of queues and results, and Flower."""
        super().start_servers()
        self.addresses["BENCH_CELERY_EVENTS"] = "1"
        port = free_port()
        command = ["-m", "celery", "-A", "bench.peers.celery.app", "flower", "--address=127.0.0.1", f"--port={port}"]
        self.run([self.environment.python, *command], announces="Connected to")
