"""The periodic work's process: a Celery worker with its clock, which announces itself when it takes jobs."""

from __future__ import annotations

import warnings

from celery.exceptions import SecurityWarning
from celery.signals import worker_ready

from config.celery_app import app
from coordination.readiness import announce


def main() -> None:
    """Work until SIGTERM; a running job is finished first."""
    warnings.simplefilter("ignore", SecurityWarning)  # about root and pickled messages; ours are JSON only
    worker_ready.connect(lambda **_: announce(), weak=False)
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


if __name__ == "__main__":
    main()
