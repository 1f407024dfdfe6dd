"""What goes into and comes out of the API."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec
from ninja import Schema
from pydantic import ConfigDict, Field

from coordination.submission import MOST_DEADLINE_S


def full(value: Any) -> Any:
    """Structs as JSON built-ins with every field, those at their defaults included."""
    if isinstance(value, msgspec.Struct):
        return {name: full(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [full(item) for item in value]
    if isinstance(value, dict):
        return {str(name): full(item) for name, item in value.items()}
    return msgspec.to_builtins(value)


class Body(Schema):
    """What a caller sends: a field of another name is refused, because a misspelt ``key`` would protect nobody."""

    model_config = ConfigDict(extra="forbid")


class Problem(Schema):
    """Every error."""

    code: str = Field(examples=["admission_refused"])
    message: str
    fields: dict[str, list[str]] | None = None
    retry_after_s: float | None = None


class Submission(Body):
    """A new workflow."""

    type: str = Field(max_length=80, examples=["legal_review"])
    input: Any = None
    key: str | None = Field(None, max_length=200, description="The same key never starts a second workflow.")
    id: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    deadline_s: float | None = Field(None, gt=0, le=MOST_DEADLINE_S)
    labels: dict[str, str] = {}


class Accepted(Schema):
    """A workflow was accepted."""

    id: str
    url: str


class WorkflowOut(Schema):
    """A workflow as lists show it."""

    id: str
    type: str
    version: int
    state: str
    summary: str
    error: str
    progress: str
    owner: str
    epoch: int
    steps_total: int
    steps_done: int
    retrying: int
    open_escalations: int
    parent_id: str
    labels: dict[str, str]
    cancel_requested: bool
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    deadline_at: dt.datetime | None
    duration_ms: int | None


class WorkflowList(Schema):
    """A page of workflows; ``next`` goes into ``cursor`` for the following one."""

    items: list[WorkflowOut]
    next: str
    previous: str
    total: int
    capped: bool = Field(description="There are more than total.")


class WorkflowFull(WorkflowOut):
    """A workflow with what it was given and what it has done so far; without secrets."""

    input: Any = None
    result: Any = None
    failure: dict[str, Any] | None = None
    steps: list[dict[str, Any]] = []
    journal: list[dict[str, Any]] | None = Field(None, description="With include=journal.")
    stale: bool = Field(False, description="Redis does not answer; this is what the history last saw.")


class ResultOut(Schema):
    """How a workflow ended."""

    id: str
    state: str
    result: Any = None
    error: dict[str, Any] | None = None


class SignalIn(Body):
    """A signal."""

    name: str = Field(min_length=1, max_length=200)
    payload: Any = None
    signal_id: str | None = Field(None, max_length=200, description="The same id is delivered once.")


class Because(Body):
    """Why."""

    reason: str = Field("", max_length=1000)


class RetryIn(Body):
    """A step that is to be tried again now."""

    step: str = Field(max_length=80)


class EscalationOut(Schema):
    """An escalation as the queue shows it."""

    id: str
    workflow_id: str
    workflow_type: str
    step: str
    task_type: str
    reason: str
    state: str
    version: int
    headline: str
    fingerprint: str
    opened_at: dt.datetime
    resolved_at: dt.datetime | None
    action: str
    resolved_by: str
    outcome: str
    claimed_by: str | None = None
    claimed_until: dt.datetime | None = None
    claim_fence: int = Field(0, description="Grows with every new claim; a decision that names it must still hold it.")

    @staticmethod
    def resolve_claimed_by(row: Any) -> str | None:
        """The name, when the claim still holds."""
        holder = getattr(row, "claimed_by", None)
        until = getattr(row, "claimed_until", None)
        return holder.get_username() if holder and until and until > dt.datetime.now(dt.UTC) else None


class EscalationList(Schema):
    """A page of the queue."""

    items: list[EscalationOut]
    page: int
    has_next: bool
    total: int
    capped: bool


class EscalationFull(EscalationOut):
    """An escalation in full."""

    detail: dict[str, Any]
    actions: list[str]
    same_cause: int


class DecisionIn(Body):
    """A decision on an escalation."""

    action: str = Field(examples=["retry", "edit", "supply", "skip", "reroute", "restart", "fail"])
    payload: Any = Field(
        None,
        description=(
            "edit: the new input; supply: the result or answer; skip: the default; reroute: {agent} or {requires};"
            " restart: {step}."
        ),
    )
    version: int | None = Field(None, description="The version that you saw; without it, the present one.")
    comment: str = Field("", max_length=4000)
    decision_id: UUID | None = Field(None, description="The same id has one effect, however often it is sent.")
    fence: int | None = Field(None, ge=0, description="claim_fence as your claim returned it; refused when it ended.")
    hold_s: float = Field(0, ge=0, le=300, description="So long it can be undone before it is sent.")


class DecisionOut(Schema):
    """What became of a decision."""

    id: UUID
    escalation_id: str
    action: str
    actor: str
    state: str = Field(
        description="accepted, conflict, submitted until it is sent and answered, pending, undone, refused, expired"
    )
    answer: str
    due_at: dt.datetime
    approved_by: str


class CommentIn(Body):
    """A comment."""

    text: str = Field(min_length=1, max_length=4000)


class CommentOut(Schema):
    """A comment with who wrote it, and when."""

    id: int
    author: str
    text: str
    created_at: dt.datetime


class ApprovalOut(Schema):
    """Something that waits for another person's approval, or did."""

    id: UUID
    kind: str
    subject: str
    escalation_id: str | None
    headline: str
    detail: dict[str, Any]
    requester: str
    state: str = Field(description="waiting, approved, refused, expired or withdrawn")
    created_at: dt.datetime
    expires_at: dt.datetime
    decided_by: str
    decided_at: dt.datetime | None
    note: str


class Note(Body):
    """Why, optional."""

    note: str = Field("", max_length=1000)


class RemoteIn(Body):
    """A remote HTTP agent."""

    name: str = Field(max_length=64)
    url: str = Field(max_length=500)
    types: list[str]
    capabilities: dict[str, list[str]] = {}
    concurrency: int = Field(4, ge=1, le=1000)
    timeout_s: float = Field(30.0, gt=0, le=3600)


class CardIn(Body):
    """Where an A2A agent card is, and what to register its agent under."""

    url: str = Field(max_length=500)
    name: str = Field("", max_length=64)
    concurrency: int = Field(4, ge=1, le=1000)
    timeout_s: float = Field(30.0, gt=0, le=3600)


class CardTryIn(Body):
    """One call of the agent of a draft."""

    draft: str = Field(max_length=100_000)
    task_type: str = Field(max_length=64)
    input: Any = None


class DraftIn(Body):
    """A draft, as the call before gave it."""

    draft: str = Field(max_length=100_000)


class ScheduleIn(Body):
    """A workflow that is submitted at the times of a cron expression (five fields, UTC)."""

    name: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]*$")
    workflow_type: str = Field(max_length=80)
    input: Any = None
    cron: str = Field(max_length=80, examples=["*/15 * * * *"])
    enabled: bool = True


class ScheduleOut(Schema):
    """A schedule and its last run."""

    id: int
    name: str
    workflow_type: str
    input: Any = None
    cron: str
    enabled: bool
    last_run_at: dt.datetime | None
    last_workflow_id: str
    last_error: str
    next_run_at: dt.datetime | None = None
    created_by: str


class DocumentOut(Schema):
    """A stored document; goes into a workflow's input as it is."""

    sha256: str
    name: str
    size: int
    media_type: str


class TypeOut(Schema):
    """A workflow type that can be submitted."""

    type: str
    version: int
    input_schema: dict[str, Any] | None = None
    description: str = ""
