"""``python -m bench.peers.temporal.app``: a worker with the workflow and its four activities."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

import uvloop
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from bench.peers.payloads import DOCUMENT, FINDING, work

READY = "peer worker is ready"
QUEUE = "bench"
STEP_MOST = timedelta(seconds=5)
STICKY_MOST = timedelta(seconds=2)

Payload = dict[str, Any]


@activity.defn
async def classify(document: Payload) -> Payload:
    """Returns 300 bytes."""
    await work()
    return DOCUMENT


@activity.defn
async def extract(kind: Payload) -> Payload:
    """Returns 150 bytes."""
    await work()
    return FINDING


@activity.defn
async def validate(kind: Payload) -> Payload:
    """Returns 150 bytes."""
    await work()
    return FINDING


@activity.defn
async def summarize(findings: Payload) -> Payload:
    """Returns 300 bytes."""
    await work()
    return DOCUMENT


@workflow.defn
class Review:
    """Four steps, two of them side by side."""

    @workflow.run
    async def run(self, document: Payload) -> Payload:
        """Review a document."""
        kind = await workflow.execute_activity(classify, document, start_to_close_timeout=STEP_MOST)
        facts, issues = await asyncio.gather(
            workflow.execute_activity(extract, kind, start_to_close_timeout=STEP_MOST),
            workflow.execute_activity(validate, kind, start_to_close_timeout=STEP_MOST),
        )
        findings = {"facts": facts, "issues": issues}
        return await workflow.execute_activity(summarize, findings, start_to_close_timeout=STEP_MOST)


async def main() -> None:
    """Work until killed."""
    client = await Client.connect(os.environ["BENCH_TEMPORAL_ADDRESS"])
    worker = Worker(
        client,
        task_queue=QUEUE,
        workflows=[Review],
        activities=[classify, extract, validate, summarize],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_activities=1_000,
        max_concurrent_workflow_tasks=200,
        max_cached_workflows=2_000,
        sticky_queue_schedule_to_start_timeout=STICKY_MOST,
    )
    async with worker:
        print(READY, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
