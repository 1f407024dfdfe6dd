"""Celery on the embedded server."""

from __future__ import annotations

from bench.peers.peer import Engine, Peer

WAITING_THREADS = 64


class CeleryPeer(Peer):
    """Two prefork processes: threads and gevent were slower on two cores.

    Where steps wait and a crash is measured, workers are threads, because two processes would take two steps at a
    time, and messages come back to the queue as soon as settings allow it.
    """

    name = "celery"
    title = "Celery"
    engines = (Engine("celery canvas", target=12),)
    packages = ("celery", "kombu", "redis")
    durability = "appendonly everysec; queues and results in Redis, no journal"
    settings = "prefork, 2 processes; JSON; events, gossip and mingle off; broker and results on the embedded server"

    def start_servers(self) -> None:
        """The server that holds queues and results."""
        self.start_redis()
        self.addresses["BENCH_REDIS_URL"] = f"redis+socket://{self.socket_path}"

    def start_workers(self) -> None:
        """One worker."""
        pool = ["prefork", "-c", "2"]
        if self.step_s:
            pool = ["threads", "-c", str(WAITING_THREADS)]
            self.addresses["BENCH_CELERY_RECOVERS"] = "1"
        worker = ["-m", "celery", "-A", "bench.peers.celery.app", "worker", "-l", "WARNING", "-P", *pool]
        self.start_worker(self.environment.python, *worker, "--without-gossip", "--without-mingle")
