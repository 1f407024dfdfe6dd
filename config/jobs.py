"""The periodic work's process: a Celery worker with its clock, which announces itself when it takes jobs."""

from __future__ import annotations

import os
import threading
import time
import warnings

import billiard
from celery.exceptions import SecurityWarning
from celery.signals import beat_embedded_init, worker_ready, worker_shutting_down

from config.celery_app import app
from coordination.readiness import announce

_LOOK_S = 0.5


def main() -> None:
    """Work until SIGTERM; a running job is finished first."""
    warnings.simplefilter("ignore", SecurityWarning)  # about root and pickled messages; ours are JSON only
    worker_ready.connect(lambda **_: announce(), weak=False)
    worker = os.getpid()
    beat_embedded_init.connect(lambda **_: _end_with(worker), weak=False)
    worker_ready.connect(lambda **_: _end_without_clock(), weak=False)
    app.worker_main(
        [
            "--quiet",
            "worker",
            "--beat",
            "--pool=threads",
            "--concurrency=2",
            "--loglevel=WARNING",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


def _end_without_clock() -> None:
    """Let this process end soon after the clock's, whom nothing else misses; its supervisor starts both anew.

    When the worker is told to stop, the clock may go first, and the jobs that run have their time.
    """
    stopping = threading.Event()
    worker_shutting_down.connect(lambda **_: stopping.set(), weak=False)

    def watch() -> None:
        while billiard.active_children():
            time.sleep(_LOOK_S)
        if not stopping.is_set():
            os._exit(1)

    threading.Thread(target=watch, name="clock-watch", daemon=True).start()


def _end_with(parent: int) -> None:
    """Let this process, the clock's, end soon after the worker that started it, however that ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_S)
        os._exit(0)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    main()
