"""One workflow in full: from Redis while it is there, from the history afterwards; always redacted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.utils import timezone

from coordination import client as core
from coordination import history, journal
from coordination.domain import ErrorInfo, JournalRow, StepView, WorkflowSnapshot
from coordination.errors import ServerUnavailable
from dashboard.models import Escalation, Workflow, WorkflowArchive
from dashboard.queries.escalations import workflow_escalations
from dashboard.queries.workflows import children
from dashboard.redaction import redact
from dashboard.rows import workflow_values


@dataclass(frozen=True, slots=True)
class WorkflowDetail:
    """Everything that the page of a workflow shows."""

    row: Workflow
    input: Any = None
    result: Any = None
    error: ErrorInfo | None = None
    steps: list[StepView] = field(default_factory=list)
    journal: list[JournalRow] = field(default_factory=list)  # oldest first
    children: list[Workflow] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)  # oldest first
    live: bool = False  # read from Redis, not from the history
    stale: bool = False  # Redis does not answer: this is what the history last saw


def workflow(workflow_id: str, *, with_journal: bool = True) -> WorkflowDetail | None:
    """One workflow in full, or nothing when neither Redis nor the history knows it."""
    if "\x00" in workflow_id:
        return None
    row = Workflow.objects.filter(pk=workflow_id).first()
    if row is None or row.finished_at is None:
        try:
            live = _from_redis(workflow_id, row, with_journal)
        except ServerUnavailable:
            return _from_history(row, with_journal, stale=True) if row else None
        if live is not None:
            return live
        row = Workflow.objects.filter(pk=workflow_id).first()  # it may just have been mirrored
    return _from_history(row, with_journal) if row else None


def _from_redis(workflow_id: str, row: Workflow | None, with_journal: bool) -> WorkflowDetail | None:
    inspect = core.sync().inspect
    snapshot = inspect.snapshot(workflow_id)
    if snapshot is None:
        return None
    entries = inspect.journal(workflow_id) if with_journal else []
    if not entries and snapshot.state.is_final and row is not None:
        return None  # the journal has moved to the history
    return WorkflowDetail(
        row=as_row(snapshot),
        input=redact(snapshot.input),
        result=redact(snapshot.result),
        error=redact(snapshot.error),
        steps=redact(inspect.steps(workflow_id)),
        journal=redact(history.rows(entries)),
        children=children(workflow_id),
        escalations=workflow_escalations(workflow_id),
        live=True,
    )


def _from_history(row: Workflow, with_journal: bool, stale: bool = False) -> WorkflowDetail:
    archive = WorkflowArchive.objects.filter(pk=row.pk).first()
    entries = journal.decode_archive(archive.journal) if archive and archive.journal else []
    return WorkflowDetail(
        row=row,
        input=_json(archive.input) if archive else None,
        result=_json(archive.result) if archive else None,
        error=msgspec.json.decode(archive.error, type=ErrorInfo) if archive and archive.error else None,
        steps=history.steps(entries),
        journal=history.rows(entries) if with_journal else [],
        children=children(row.pk),
        escalations=workflow_escalations(row.pk),
        stale=stale,
    )


def _json(text: str) -> Any:
    return msgspec.json.decode(text) if text else None


def archives(workflow_ids: Iterable[str]) -> dict[str, tuple[Any, Any]]:
    """Input and result of several workflows as the history holds them, by id."""
    rows = WorkflowArchive.objects.filter(pk__in=list(workflow_ids)).values_list("pk", "input", "result")
    return {workflow_id: (_json(given), _json(made)) for workflow_id, given, made in rows}


def as_row(snapshot: WorkflowSnapshot) -> Workflow:
    """A snapshot as a row of the history that is not stored."""
    return Workflow(**workflow_values(snapshot, timezone.now()))


def duration(row: Workflow, now: dt.datetime | None = None) -> dt.timedelta:
    """How long a workflow took, or has taken so far."""
    return (row.finished_at or now or timezone.now()) - row.created_at
