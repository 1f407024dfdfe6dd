"""Agents that wait as those do that ask a model: cores are not the limit then."""

from __future__ import annotations

import asyncio

from agents import Task, agent
from bench.workload.payloads import DOCUMENT, FINDING, Document, Finding, Findings

WAIT_S = 0.05


@agent("bench_slow_classify")
async def classify(task: Task, document: Document) -> Document:
    """Returns 300 bytes after 50 ms."""
    await asyncio.sleep(WAIT_S)
    return DOCUMENT


@agent("bench_slow_extract")
async def extract(task: Task, kind: Document) -> Finding:
    """Returns 150 bytes after 50 ms."""
    await asyncio.sleep(WAIT_S)
    return FINDING


@agent("bench_slow_validate")
async def validate(task: Task, kind: Document) -> Finding:
    """Returns 150 bytes after 50 ms."""
    await asyncio.sleep(WAIT_S)
    return FINDING


@agent("bench_slow_summarize")
async def summarize(task: Task, findings: Findings) -> Document:
    """Returns 300 bytes after 50 ms."""
    await asyncio.sleep(WAIT_S)
    return DOCUMENT
