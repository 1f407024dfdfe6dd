"""The four steps as a Celery canvas, by JSON, with results in the same server as the queues."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, chain, chord
from celery.canvas import Signature
from celery.signals import worker_ready

from bench.peers.payloads import DOCUMENT, FINDING, work_blocking

READY = "peer worker is ready"
_SERVER = os.environ["BENCH_REDIS_URL"]
_EVENTS = bool(os.environ.get("BENCH_CELERY_EVENTS"))

app = Celery("bench", broker=_SERVER, backend=_SERVER)
app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    result_expires=600,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    task_send_sent_event=_EVENTS,
    worker_send_task_events=_EVENTS,
)
if os.environ.get("BENCH_CELERY_RECOVERS"):
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        broker_transport_options={"visibility_timeout": 10, "unacked_restore_interval": 2},
    )


@app.task
def classify(document: dict[str, Any]) -> dict[str, str]:
    """Returns 300 bytes."""
    work_blocking()
    return DOCUMENT


@app.task
def extract(kind: dict[str, Any]) -> dict[str, str]:
    """Returns 150 bytes."""
    work_blocking()
    return FINDING


@app.task
def validate(kind: dict[str, Any]) -> dict[str, str]:
    """Returns 150 bytes."""
    work_blocking()
    return FINDING


@app.task
def summarize(findings: list[dict[str, Any]]) -> dict[str, str]:
    """Returns 300 bytes."""
    work_blocking()
    return DOCUMENT


def review() -> Signature:
    """One workflow."""
    return chain(classify.s(DOCUMENT), chord([extract.s(), validate.s()], summarize.s()))


@worker_ready.connect
def _tell(**_: Any) -> None:
    print(READY, flush=True)
