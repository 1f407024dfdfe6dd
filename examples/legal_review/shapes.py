"""The values that travel between the review's steps, and the forms people fill in.

Everything here is a msgspec struct: its JSON Schema goes to the service registry and becomes the
form that an operator sees when a step needs a person.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coordination.files import FileRef

KindName = Literal["nda", "lease", "employment", "services", "loan", "purchase", "other"]
Severity = Literal["high", "medium", "low"]

KIND_TITLES: dict[str, str] = {
    "nda": "Non-disclosure agreement",
    "lease": "Lease",
    "employment": "Employment contract",
    "services": "Services agreement",
    "loan": "Loan agreement",
    "purchase": "Purchase agreement",
    "other": "Other document",
}


READ_ONLY = {"readOnly": True}  # left to the agents: the form for operators does not offer it


class Shape(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value that is never changed once made."""


# --- what goes in ---------------------------------------------------------------------


class Document(Shape, frozen=True):
    """A contract to review: a stored file, or its text."""

    text: Annotated[
        str,
        Meta(
            title="Text",
            description="The contract's words. When given, they are reviewed instead of the file.",
            max_length=2_000_000,
        ),
    ] = ""
    name: Annotated[str, Meta(title="Name", description="How the review is headed.", max_length=200)] = ""
    file: Annotated[FileRef | None, Meta(title="Stored file", extra_json_schema=READ_ONLY)] = None


class Contents(Shape, frozen=True):
    """A document's words, read once and passed to every step."""

    text: Annotated[
        str,
        Meta(
            title="Text of the document",
            description="Type or paste the words of the contract, as far as they matter for the review.",
            max_length=2_000_000,
        ),
    ] = ""
    pages: Annotated[int, Meta(title="Number of pages", ge=1, le=10_000)] = 1
    source: Annotated[Literal["person", "document"], Meta(extra_json_schema=READ_ONLY)] = "person"
    counted: Annotated[int, Meta(description="Words", extra_json_schema=READ_ONLY, ge=0)] = 0
    stored: Annotated[FileRef | None, Meta(description="The text when it is long", extra_json_schema=READ_ONLY)] = None

    @property
    def words(self) -> int:
        """How many words the text has."""
        return self.counted or len(self.text.split())


# --- what the agents find ---------------------------------------------------------------


class Quote(Shape, frozen=True):
    """Words of the document that prove a finding."""

    text: str
    page: int = 1


class Kind(Shape, frozen=True):
    """What kind of document this is, and how sure the classifier is (0 to 1)."""

    name: KindName
    confidence: Annotated[float, Meta(ge=0, le=1)]
    others: dict[str, float] = {}  # the next likely kinds

    @property
    def title(self) -> str:
        """The kind as people call it."""
        return KIND_TITLES[self.name]


class Classified(Shape, frozen=True):
    """A document whose kind is known."""

    contents: Contents
    kind: Kind


class Party(Shape, frozen=True):
    """A party to the agreement; without a name when the document leaves it blank."""

    name: str
    role: str = ""
    quote: Quote | None = None


class KeyDate(Shape, frozen=True):
    """A calendar date with what it stands for."""

    label: str
    date: datetime.date
    quote: Quote


class Amount(Shape, frozen=True):
    """A sum of money with what it is for."""

    label: str
    value: str  # a decimal number
    currency: str  # ISO code, or the sign as written
    quote: Quote

    @property
    def shown(self) -> str:
        """The number with its thousands set apart."""
        whole, point, rest = self.value.partition(".")
        return f"{int(whole):,}{point}{rest}"


class Finding(Shape, frozen=True):
    """A clause that was looked for, in a few words."""

    value: str
    quote: Quote | None = None


class Term(Shape, frozen=True):
    """How long the agreement runs."""

    value: str
    months: int | None = None
    unlimited: bool = False
    quote: Quote | None = None


class Citation(Shape, frozen=True):
    """A reference to a case, statute or journal."""

    text: str
    kind: str
    quote: Quote


class Facts(Shape, frozen=True):
    """What the extractor found."""

    title: str = ""
    parties: list[Party] = []
    dates: list[KeyDate] = []
    amounts: list[Amount] = []
    citations: list[Citation] = []
    governing_law: Finding | None = None
    term: Term | None = None


class Issue(Shape, frozen=True):
    """One thing a lawyer should look at."""

    rule: str  # "dates-contradict"
    severity: Severity
    title: str
    reason: str
    evidence: list[Quote] = []
    answer: str = ""  # what a person said about it


# --- what people are asked -----------------------------------------------------------------


class PartyAnswer(Shape, frozen=True):
    """Who the missing party is."""

    name: Annotated[str, Meta(title="Full name of the party", min_length=2, max_length=200)]
    role: Annotated[str, Meta(title="Role in the agreement", description="For example Client", max_length=60)] = ""
    note: Annotated[str, Meta(title="How do you know?", max_length=500)] = ""


class GoverningLawAnswer(Shape, frozen=True):
    """Which law governs the agreement."""

    jurisdiction: Annotated[
        str, Meta(title="Governing law", description="For example England and Wales", min_length=2, max_length=120)
    ]
    basis: Annotated[
        Literal["the parties confirmed it", "another document of the deal says so", "it follows from the place"],
        Meta(title="On what basis?"),
    ] = "the parties confirmed it"
    note: Annotated[str, Meta(title="Note", max_length=500)] = ""


class DatesAnswer(Shape, frozen=True):
    """Which dates hold."""

    begins: Annotated[datetime.date, Meta(title="The agreement begins on")]
    ends: Annotated[datetime.date, Meta(title="The agreement ends on")]
    note: Annotated[str, Meta(title="How do you know?", max_length=500)] = ""


class Supplied(Shape, frozen=True):
    """Something that a person said, not the document."""

    topic: Literal["text", "party", "governing_law", "dates"]
    title: str
    value: str
    note: str = ""
    label: str = ""  # of the question, by which the report finds who answered it


# --- what comes out ----------------------------------------------------------------------


class Sentence(Shape, frozen=True):
    """A sentence of the summary, taken from the document."""

    text: str
    page: int = 1


class Material(Shape, frozen=True):
    """Everything that the summary is made from."""

    contents: Contents
    kind: Kind
    facts: Facts
    issues: list[Issue]


class Summary(Shape, frozen=True):
    """The agreement in one line, and its most telling sentences."""

    headline: str
    sentences: list[Sentence] = []


class Review(Shape, frozen=True):
    """A finished review."""

    name: str
    pages: int
    words: int
    text_source: Literal["person", "document"]
    kind: Kind
    facts: Facts
    issues: list[Issue]
    summary: Summary
    supplied: list[Supplied] = []
