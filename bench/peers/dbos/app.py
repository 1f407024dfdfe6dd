"""``python -m bench.peers.dbos.app NAME``: a worker that takes workflows from the queue and runs their steps."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any

from dbos import DBOS, DBOSConfig

from bench.peers.payloads import DOCUMENT, FINDING, work

READY = "peer worker is ready"
QUEUE = "bench"
VERSION = "bench"
QUEUE_POLL_S = 0.1

Payload = dict[str, Any]


@DBOS.step()
async def classify(document: Payload) -> Payload:
    """Returns 300 bytes."""
    await work()
    return DOCUMENT


@DBOS.step()
async def extract(kind: Payload) -> Payload:
    """Returns 150 bytes."""
    await work()
    return FINDING


@DBOS.step()
async def validate(kind: Payload) -> Payload:
    """Returns 150 bytes."""
    await work()
    return FINDING


@DBOS.step()
async def summarize(findings: Payload) -> Payload:
    """Returns 300 bytes."""
    await work()
    return DOCUMENT


@DBOS.workflow(name="review")
async def review(document: Payload) -> Payload:
    """Four steps, two of them side by side."""
    kind = await classify(document)
    facts, issues = await asyncio.gather(extract(kind), validate(kind))
    return await summarize({"facts": facts, "issues": issues})


def main() -> None:
    """Work until killed."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": os.environ["BENCH_DATABASE_URL"],
        "executor_id": sys.argv[1],
        "application_version": VERSION,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=QUEUE_POLL_S)
    print(READY, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
