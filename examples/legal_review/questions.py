"""What only a person can say: which questions a review asks, and what an answer changes.

Pure functions of what the agents found: a replayed workflow asks the same questions again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from examples.legal_review.shapes import (
    DatesAnswer,
    Facts,
    Finding,
    GoverningLawAnswer,
    Issue,
    KeyDate,
    Party,
    PartyAnswer,
    Quote,
    Supplied,
)
from examples.legal_review.validation import DATES_CONTRADICT, MISSING_PARTY, NO_GOVERNING_LAW

BY_A_PERSON = Quote("Supplied by a person; the document does not say it.")

Answer = PartyAnswer | GoverningLawAnswer | DatesAnswer


class Question(NamedTuple):
    """One question with the form of its answer."""

    label: str  # unique within a review
    text: str
    returns: type[Answer]
    issues: list[Issue]
    role: str = ""  # of a missing party

    @property
    def context(self) -> dict[str, Any]:
        """What the person should see beside the question."""
        quotes = {(quote.page, quote.text) for issue in self.issues for quote in issue.evidence}
        return {
            "why": [issue.reason for issue in self.issues],
            "in the document": [f"p. {page}: {text}" for page, text in sorted(quotes)],
        }


def questions(facts: Facts, issues: list[Issue]) -> list[Question]:
    """The questions that the document leaves open, at most one for each missing fact."""
    asked: list[Question] = []
    for number, issue in enumerate(issue for issue in issues if issue.rule == MISSING_PARTY):
        blank = [party.role for party in facts.parties if not party.name]
        role = blank[number] if number < len(blank) else ""
        text = f"Who is the {role}?" if role else "Who is the other party to the agreement?"
        label = f"Missing party: {role or 'other party'}"
        asked.append(Question(label, f"{text} {issue.reason}", PartyAnswer, [issue], role))
    for issue in issues:
        if issue.rule == NO_GOVERNING_LAW:
            text = "Which law governs the agreement? It does not say so."
            asked.append(Question("Governing law", text, GoverningLawAnswer, [issue]))
    clashes = [issue for issue in issues if issue.rule == DATES_CONTRADICT]
    if clashes:
        text = f"Which dates hold? {' '.join(issue.reason for issue in clashes)}"
        asked.append(Question("Contradicting dates", text, DatesAnswer, clashes))
    return asked


def apply(question: Question, answer: Answer, facts: Facts) -> tuple[Facts, Supplied]:
    """The facts with a person's answer in its place, and the note of who said what."""
    match answer:
        case PartyAnswer():
            party = Party(answer.name, answer.role or question.role, BY_A_PERSON)
            parties = [party if not known.name and known.role == question.role else known for known in facts.parties]
            if party not in parties:
                parties.append(party)
            supplied = Supplied("party", party.role or "Other party", party.name, answer.note, question.label)
            return msgspec.structs.replace(facts, parties=parties), supplied
        case GoverningLawAnswer():
            law = Finding(answer.jurisdiction, BY_A_PERSON)
            note = f"{answer.basis}. {answer.note}".strip()
            supplied = Supplied("governing_law", "Governing law", law.value, note, question.label)
            return msgspec.structs.replace(facts, governing_law=law), supplied
        case DatesAnswer():
            held = [KeyDate("Begins", answer.begins, BY_A_PERSON), KeyDate("Ends", answer.ends, BY_A_PERSON)]
            said = f"{answer.begins.isoformat()} to {answer.ends.isoformat()}"
            supplied = Supplied("dates", "Begin and end", said, answer.note, question.label)
            return msgspec.structs.replace(facts, dates=[*held, *facts.dates]), supplied


def objection(answer: Answer | None) -> str:
    """Why an answer of the right shape cannot be true; empty when it can."""
    if isinstance(answer, DatesAnswer) and answer.ends <= answer.begins:
        return f"The answer ended the agreement on {answer.ends}, not after {answer.begins}."
    return ""


def settle(issues: list[Issue], question: Question, words: str) -> list[Issue]:
    """The issues with a person's answer beside those that it settles; none disappears."""
    return [msgspec.structs.replace(issue, answer=words) if issue in question.issues else issue for issue in issues]
