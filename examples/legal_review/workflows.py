"""The review of one contract, from a file to a report."""

from __future__ import annotations

from coordination import DistributedCoordinator
from examples.legal_review import questions
from examples.legal_review.questions import Answer, Question
from examples.legal_review.shapes import (
    Classified,
    Contents,
    Document,
    Facts,
    Issue,
    Kind,
    Material,
    Review,
    Summary,
    Supplied,
)


class LegalReview(DistributedCoordinator):
    """Read, classify, extract beside validate, ask people what is missing, summarize."""

    version = 1
    max_retries = 3
    timeout_s = 30.0

    async def run(self, document: Document) -> Review:
        """Review a document. What a person skips is left out of the report."""
        contents = await self.dispatch_task("read", document, returns=Contents) or Contents()
        kind = await self.dispatch_task("classify", contents, returns=Kind) or Kind("other", 0.0)
        await self.progress(f"Reading a document of the kind: {kind.title.lower()}")

        classified = Classified(contents, kind)
        facts, issues = await self.gather(
            self.dispatch_task("extract", classified, requires={"kind": kind.name}, returns=Facts),
            self.dispatch_task("validate", classified, returns=list[Issue]),
        )
        facts, issues, supplied = await self.ask(facts or Facts(), issues or [])

        await self.progress("Writing the summary")
        summary = await self.dispatch_task("summarize", Material(contents, kind, facts, issues), returns=Summary)
        if contents.source == "person":
            supplied.insert(0, Supplied("text", "Words of the document", f"{contents.words:,} words"))
        return Review(
            name=document.name or facts.title or kind.title,
            pages=contents.pages,
            words=contents.words,
            text_source=contents.source,
            kind=kind,
            facts=facts,
            issues=issues,
            summary=summary or Summary(""),
            supplied=supplied,
        )

    async def ask(self, facts: Facts, issues: list[Issue]) -> tuple[Facts, list[Issue], list[Supplied]]:
        """Ask every open question at once; the answers go into the facts, marked as a person's."""
        open_questions = questions.questions(facts, issues)
        if not open_questions:
            return facts, issues, []
        await self.progress("Waiting for a person: " + ", ".join(question.label for question in open_questions))
        answers = await self.gather(*map(self.answer, open_questions))
        supplied: list[Supplied] = []
        for question, answer in zip(open_questions, answers, strict=True):
            if answer is None:  # skipped: the issue stays open
                continue
            facts, said = questions.apply(question, answer, facts)
            issues = questions.settle(issues, question, f"{said.title}: {said.value}")
            supplied.append(said)
        return facts, issues, supplied

    async def answer(self, question: Question) -> Answer | None:
        """Ask until the answer can be true, or the question is skipped."""
        text = question.text
        while True:
            answer: Answer | None = await self.ask_human(
                text, returns=question.returns, context=question.context, label=question.label
            )
            objection = questions.objection(answer)
            if not objection:
                return answer
            text = f"{objection} {question.text}"
