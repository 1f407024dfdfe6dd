"""taskiq on the embedded server."""

from __future__ import annotations

from bench.peers.peer import Engine, Peer


class TaskiqPeer(Peer):
    """Two worker processes, and results polled every 50 ms."""

    name = "taskiq"
    title = "taskiq"
    engines = (Engine("taskiq, no durable workflow"),)
    packages = ("taskiq", "taskiq-redis", "redis")
    durability = "none for the workflow: the client leads it; appendonly everysec for queues and results"
    settings = "2 worker processes, Redis Streams, results in Redis polled every 50 ms; the client leads the steps"
    recovers = False

    def start_servers(self) -> None:
        """The server that holds queues and results."""
        self.start_redis()
        self.addresses["BENCH_REDIS_URL"] = f"unix://{self.socket_path}"

    def start_workers(self) -> None:
        """One supervisor with its two processes."""
        self.start_worker(
            self.environment.python, "-m", "taskiq", "worker", "bench.peers.taskiq.app:broker", "--workers", "2",
            "--max-async-tasks", "1000", "--max-prefetch", "100", "--log-level", "WARNING",
        )  # fmt: skip
