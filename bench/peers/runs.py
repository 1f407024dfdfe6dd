"""Starts a peer, measures it, and ends it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable

from bench.cells import Cell, Result, measure
from bench.options import Options
from bench.peers.celery_app import READY
from bench.stack import Bare

LEVELS = (50, 200, 500)
EVERYSEC = "appendonly everysec; results and queues in Redis, no journal"


def celery(options: Options, tell: Callable[[str, int], None]) -> list[Result]:
    """Celery canvas, prefork with two processes: threads and gevent were slower on two cores."""
    tell("starting Celery", 0)
    with Bare(agents=False) as bare:
        bare.environ["BENCH_CELERY_URL"] = f"redis+socket://{bare.socket_path}"
        worker = ["-m", "celery", "-A", "bench.peers.celery_app", "worker", "-P", "prefork", "-c", "2", "-l", "WARNING"]
        bare.run([sys.executable, *worker, "--without-gossip", "--without-mingle"], announces=READY)
        found = []
        for level in LEVELS:
            what = f"celery canvas, {level} in flight"
            tell(what, 0)
            command = (sys.executable, "-m", "bench.peers.celery_client")
            cell = Cell("celery canvas", level, EVERYSEC, command=command)
            timing = dataclasses.replace(options.timing, warm_s=2.0)
            found.append(measure(bare, cell, timing, lambda what=what: tell(what, 1)))  # type: ignore[misc]
    return found
