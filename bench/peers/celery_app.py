"""The four steps as a Celery canvas: a chain with a chord in it, by JSON, results in the same server."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, chain, chord
from celery.canvas import Signature
from celery.signals import worker_ready

READY = "celery is ready"
DOCUMENT = {"text": ("the quick brown fox jumps over the lazy dog " * 8)[:289]}
FINDING = {"text": ("the quick brown fox jumps over the lazy dog " * 8)[:139]}

_SERVER = os.environ.get("BENCH_CELERY_URL", "")

app = Celery("bench", broker=_SERVER, backend=_SERVER)
app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    result_expires=600,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    task_send_sent_event=False,
    worker_send_task_events=False,
)


@app.task
def classify(document: dict[str, Any]) -> dict[str, Any]:
    """Returns 300 bytes."""
    return DOCUMENT


@app.task
def extract(kind: dict[str, Any]) -> dict[str, Any]:
    """Returns 150 bytes."""
    return FINDING


@app.task
def validate(kind: dict[str, Any]) -> dict[str, Any]:
    """Returns 150 bytes."""
    return FINDING


@app.task
def summarize(findings: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns 300 bytes."""
    return DOCUMENT


def review() -> Signature:
    """One workflow."""
    return chain(classify.s(DOCUMENT), chord([extract.s(), validate.s()], summarize.s()))


@worker_ready.connect
def _tell(**_: Any) -> None:
    print(READY, flush=True)
