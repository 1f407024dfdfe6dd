"""What the pages of a review show: the finished report, or as much of it as there is yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from coordination.domain import JournalRow, StepState, StepView
from dashboard import queries
from examples.legal_review.shapes import (
    Contents,
    Document,
    Facts,
    Issue,
    KeyDate,
    Kind,
    Review,
    Shape,
    Summary,
    Supplied,
)

if TYPE_CHECKING:
    from dashboard.models import Escalation, Workflow

TYPE = "legal_review"

T = TypeVar("T")

_PLAIN_DATES = ("Date", "Payment")

_STAGES = (
    ("read", gettext_noop("Read the document")),
    ("classify", gettext_noop("Tell its kind")),
    ("extract", gettext_noop("Extract the facts")),
    ("validate", gettext_noop("Check the rules")),
    ("ask", gettext_noop("Ask a person")),
    ("summarize", gettext_noop("Write the summary")),
)
_SEVERITIES = (
    ("high", gettext_noop("Must be settled"), "failed"),
    ("medium", gettext_noop("Should be settled"), "waiting"),
    ("low", gettext_noop("Worth noting"), "idle"),
)


class Stage(NamedTuple):
    """One stage of the review as its page shows it."""

    title: str
    state: str  # a step's state, or "" when it has not begun
    note: str = ""


class Said(NamedTuple):
    """What a person supplied, with who and when."""

    supplied: Supplied
    actor: str
    at_ms: int


class Group(NamedTuple):
    """The issues of one severity."""

    title: str
    tone: str
    issues: list[Issue]


class Report(NamedTuple):
    """A review at one moment."""

    row: Workflow
    document: Document
    contents: Contents | None
    kind: Kind | None
    facts: Facts | None
    issues: list[Issue] | None
    summary: Summary | None
    said: list[Said]
    stages: list[Stage]
    open_escalations: list[Escalation]
    error: str
    pages: int
    words: int

    @property
    def title(self) -> str:
        """How the review is headed."""
        file = self.document.file.name if self.document.file else ""
        return self.document.name or (self.facts.title if self.facts else "") or file or _("Pasted text")

    @property
    def done(self) -> bool:
        """Whether the review came to its end."""
        return self.row.state == "completed"

    @property
    def groups(self) -> list[Group]:
        """The issues by severity, the severest first."""
        found = self.issues or []
        groups = (Group(_(title), tone, [i for i in found if i.severity == name]) for name, title, tone in _SEVERITIES)
        return [group for group in groups if group.issues]

    @property
    def key_dates(self) -> list[KeyDate]:
        """The dates that mean something for the whole agreement, the earliest first."""
        return sorted((d for d in self._dates if d.label not in _PLAIN_DATES), key=lambda d: d.date)

    @property
    def other_dates(self) -> list[KeyDate]:
        """The remaining dates, the earliest first."""
        return sorted((d for d in self._dates if d.label in _PLAIN_DATES), key=lambda d: d.date)

    @property
    def _dates(self) -> list[KeyDate]:
        return self.facts.dates if self.facts else []

    @property
    def waits(self) -> bool:
        """Whether a person is needed now."""
        return bool(self.open_escalations) and not self.row.finished_at


def read(workflow_id: str) -> Report | None:
    """The review as far as it has come; ``None`` when there is no such review."""
    detail = queries.workflow(workflow_id)
    if detail is None or detail.row.type != TYPE:
        return None
    review = _as(detail.result, Review)
    steps = {step.name: step for step in detail.steps}
    contents = _output(steps, "read", Contents)
    said = _said(review.supplied, detail.journal) if review else []
    return Report(
        row=detail.row,
        document=_as(detail.input, Document) or Document(),
        contents=contents,
        kind=review.kind if review else _output(steps, "classify", Kind),
        facts=review.facts if review else _output(steps, "extract", Facts),
        issues=review.issues if review else _output(steps, "validate", list[Issue]),
        summary=review.summary if review else None,
        said=said,
        stages=_stages(detail.steps),
        open_escalations=[item for item in detail.escalations if item.state == "open"],
        error=detail.error.message if detail.error else "",
        pages=review.pages if review else contents.pages if contents else 0,
        words=review.words if review else contents.words if contents else 0,
    )


def _as(value: Any, kind: type[T]) -> T | None:
    """A stored value in its type; ``None`` when it is not there or of another shape."""
    if value is None:
        return None
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _output(steps: dict[str, StepView], name: str, kind: type[T]) -> T | None:
    step = steps.get(name)
    return _as(step.output, kind) if step is not None else None


def _said(supplied: list[Supplied], journal: list[JournalRow]) -> list[Said]:
    """Who gave each answer, found by the label of the question in the journal."""
    labels = {row.step: str(row.data.get("label", "")) for row in journal if row.kind == "escalated"}
    decided = {labels.get(row.step, ""): row for row in journal if row.kind == "decided"}
    reading = next((row for row in journal if row.kind == "decided" and not labels.get(row.step)), None)
    found = []
    for item in supplied:
        row = reading if item.topic == "text" else decided.get(item.label)
        found.append(Said(item, str(row.data.get("actor", "")) if row else "", row.at_ms if row else 0))
    return found


def _stages(steps: list[StepView]) -> list[Stage]:
    """The stages in order; questions to people are one stage."""
    by_name = {step.name: step for step in steps}
    asked = [step for step in steps if step.kind == "human"]
    stages = []
    for name, title in _STAGES:
        if name == "ask":
            if asked:
                waiting = [step for step in asked if step.state is StepState.ESCALATED]
                state = StepState.ESCALATED if waiting else StepState.SUCCEEDED
                stages.append(Stage(_(title), state, ", ".join(step.name for step in asked)))
            continue
        step = by_name.get(name)
        stages.append(Stage(_(title), step.state if step else "", step.progress_note if step else ""))
    return stages


# --- the list ------------------------------------------------------------------------------


class Recent(NamedTuple):
    """A review in the list."""

    row: Workflow
    title: str
    kind: str
    counts: list[tuple[str, int]]  # tone and number of issues


class _Head(Shape, frozen=True):
    """The part of a stored review that the list shows."""

    kind: Kind | None = None
    issues: list[Issue] = []
    name: str = ""


def recent(most: int = 12) -> list[Recent]:
    """The newest reviews."""
    rows = queries.workflows(queries.WorkflowFilter(type=TYPE)).rows[:most]
    archives = queries.archives(row.pk for row in rows)
    return [_recent(row, *archives.get(row.pk, (None, None))) for row in rows]


def _recent(row: Workflow, given: Any, made: Any) -> Recent:
    document, head = _as(given, Document) or Document(), _as(made, _Head) or _Head()
    file = document.file.name if document.file else ""
    counts = [
        (tone, sum(i.severity == name and not i.answer for i in head.issues)) for name, _title, tone in _SEVERITIES
    ]
    title = head.name or document.name or file or _("Pasted text")
    return Recent(row, title, head.kind.title if head.kind else "", [(tone, n) for tone, n in counts if n])
