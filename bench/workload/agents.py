"""Agents that do nothing, so that only the way to them and back is measured."""

from __future__ import annotations

from agents import Task, agent
from bench.workload.payloads import DOCUMENT, FINDING, Document, Finding, Findings


@agent("bench_classify")
async def classify(task: Task, document: Document) -> Document:
    """Returns 300 bytes."""
    return DOCUMENT


@agent("bench_extract")
async def extract(task: Task, kind: Document) -> Finding:
    """Returns 150 bytes."""
    return FINDING


@agent("bench_validate")
async def validate(task: Task, kind: Document) -> Finding:
    """Returns 150 bytes."""
    return FINDING


@agent("bench_summarize")
async def summarize(task: Task, findings: Findings) -> Document:
    """Returns 300 bytes."""
    return DOCUMENT
