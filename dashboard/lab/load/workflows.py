"""The workflow of an experiment: four steps, two of them side by side, as the central brain runs them too."""

from __future__ import annotations

from coordination import DistributedCoordinator
from dashboard.lab.load.payloads import Document, Finding, Findings


class LabReview(DistributedCoordinator):
    """Waits for its agents a second at a time."""

    async def run(self, document: Document) -> Document:
        """Review a document."""
        kind = await self.dispatch_task("lab_classify", document, returns=Document)
        facts, issues = await self.gather(
            self.dispatch_task("lab_extract", kind, returns=Finding),
            self.dispatch_task("lab_validate", kind, returns=Finding),
        )
        summary: Document = await self.dispatch_task("lab_summarize", Findings(facts, issues), returns=Document)
        return summary
