"""The agents of an experiment: they wait as those do that ask a model, and write down each run of a step.

The ledger is a file, because it must tell what really ran, whatever is killed: one line at the beginning of a run
and one at its end, each written by a single append.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from agents import Task, agent
from dashboard.lab.load.payloads import Document, Finding, Findings

LEDGER = "GANGLION_LAB_LEDGER"  # the file
PAUSE_S = 1.0


async def _work(task: Task) -> None:
    _note("began", task)
    await asyncio.sleep(PAUSE_S)
    _note("ended", task)


def _note(what: str, task: Task) -> None:
    line = f"{what} {os.getpid()} {task.workflow_id} {task.step}\n".encode()
    with Path(os.environ[LEDGER]).open("ab", buffering=0) as ledger:
        ledger.write(line)


@agent("lab_classify")
async def classify(task: Task, document: Document) -> Document:
    """Returns the document."""
    await _work(task)
    return document


@agent("lab_extract")
async def extract(task: Task, kind: Document) -> Finding:
    """Returns a fact."""
    await _work(task)
    return Finding("a fact")


@agent("lab_validate")
async def validate(task: Task, kind: Document) -> Finding:
    """Returns an issue."""
    await _work(task)
    return Finding("an issue")


@agent("lab_summarize")
async def summarize(task: Task, findings: Findings) -> Document:
    """Returns a summary."""
    await _work(task)
    return Document(f"{findings.facts.text}, {findings.issues.text}")
