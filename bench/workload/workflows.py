"""The workflows that are measured."""

from __future__ import annotations

from bench.workload.payloads import DOCUMENT, Document, Finding, Findings, Walk
from coordination import DistributedCoordinator


async def review(workflow: DistributedCoordinator, agents: str, document: Document) -> Document:
    """Four steps, two of them side by side."""
    kind = await workflow.dispatch_task(f"{agents}_classify", document, returns=Document)
    facts, issues = await workflow.gather(
        workflow.dispatch_task(f"{agents}_extract", kind, returns=Finding),
        workflow.dispatch_task(f"{agents}_validate", kind, returns=Finding),
    )
    summary: Document = await workflow.dispatch_task(f"{agents}_summarize", Findings(facts, issues), returns=Document)
    return summary


class BenchReview(DistributedCoordinator):
    """With agents that return at once."""

    async def run(self, document: Document) -> Document:
        """Review a document."""
        return await review(self, "bench", document)


class BenchSlowReview(DistributedCoordinator):
    """With agents that wait for 50 ms, as those do that ask a model."""

    async def run(self, document: Document) -> Document:
        """Review a document."""
        return await review(self, "bench_slow", document)


class BenchWaiting(DistributedCoordinator):
    """One step, then nothing until a signal: a coordinator in flight that waits."""

    async def run(self, document: Document) -> None:
        """Wait."""
        await self.dispatch_task("bench_classify", document, returns=Document)
        await self.wait_for_signal("go on")


class BenchWalk(DistributedCoordinator):
    """So many steps one after another, then nothing until a signal: a journal of any length."""

    async def run(self, walk: Walk) -> None:
        """Walk, and wait."""
        for _ in range(walk.steps):
            await self.dispatch_task("bench_classify", DOCUMENT, returns=Document)
        await self.wait_for_signal("go on")


class BenchProbe(DistributedCoordinator):
    """One step; somebody watches for it on a page."""

    async def run(self, document: Document) -> Document:
        """Do it."""
        found: Document = await self.dispatch_task("bench_classify", document, returns=Document)
        return found
