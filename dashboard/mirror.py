"""Writes what Redis holds into the history, never backwards.

One statement for many rows: a row changes only when what comes is newer, (generation, seq) for a
workflow and version for an escalation. So relays may run side by side, be late, and repeat themselves.

Invariant 10: the history equals the events.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Container, Iterable, Sequence
from typing import Any

import msgspec
from django.db import connection, transaction
from django.utils import timezone

from coordination.domain import EscalationSnapshot, EscalationState, WorkflowSnapshot
from coordination.journal import Numbered, encode_archive
from dashboard.models import Escalation, HostEvent, Workflow, WorkflowArchive
from dashboard.redaction import encode_clean, is_suspicious, redact, redact_json
from dashboard.rows import at, escalation_values, workflow_values

_ROWS = 250  # in one statement
LOST = "The server lost this workflow: Redis was emptied or restored from an older copy."

# Parking and lease changes write no journal entry: at the same seq the later reading wins, unless it has ended.
_WORKFLOW_NEWER = (
    "(excluded.generation, excluded.seq) > (dashboard_workflow.generation, dashboard_workflow.seq)"
    " OR ((excluded.generation, excluded.seq) = (dashboard_workflow.generation, dashboard_workflow.seq)"
    " AND excluded.updated_at > dashboard_workflow.updated_at"
    f" AND (dashboard_workflow.finished_at IS NULL OR dashboard_workflow.error = '{LOST}'))"
)
_ESCALATION_NEWER = (
    "excluded.version > dashboard_escalation.version OR (excluded.version = dashboard_escalation.version"
    " AND dashboard_escalation.state = 'open' AND excluded.state <> 'open')"
    " OR excluded.opened_at > dashboard_escalation.opened_at"  # of a later life of its workflow
)
_KEPT = {"id", "summary", "created_at", "type", "version", "parent_id", "labels"}  # never change after submission


class Archived(msgspec.Struct, frozen=True):
    """What is kept of a workflow beside its row."""

    snapshot: WorkflowSnapshot
    journal: list[Numbered] | None = None  # once it has finished


def store(
    snapshots: Sequence[WorkflowSnapshot],
    journals: dict[str, list[Numbered]],
    escalated: Sequence[EscalationSnapshot] = (),
    hosts: Sequence[HostEvent] = (),
    read_at: dt.datetime | None = None,
    archived: Container[str] = (),
) -> None:
    """Mirror a batch in one transaction.

    Args:
        snapshots: Workflows as they are now, each once.
        journals: For finished ones, their whole journals.
        escalated: Escalations as they are now, each once.
        hosts: What happened to hosts.
        read_at: When reading from Redis began.
        archived: Workflows whose input the history is known to hold.
    """
    with transaction.atomic():
        _renew([snapshot for snapshot in snapshots if snapshot.id not in archived])
        workflows(snapshots, read_at)
        archive(
            [
                Archived(snapshot, journals.get(snapshot.id))
                for snapshot in snapshots
                if snapshot.id in journals or snapshot.id not in archived
            ]
        )
        escalations(escalated)
        if hosts:
            HostEvent.objects.bulk_create(hosts, ignore_conflicts=True)


def _renew(snapshots: Iterable[WorkflowSnapshot]) -> None:
    """Begin the rows anew of workflows that were submitted again, under the same id, after Redis had lost them."""
    born = {snapshot.id: created for snapshot in snapshots if (created := at(snapshot.created_ms)) is not None}
    known = Workflow.objects.filter(pk__in=list(born)).values_list("pk", "created_at")
    for pk, created in [row for row in known if row[1] < born[row[0]]]:
        Workflow.objects.filter(pk=pk, created_at=created).delete()


def workflows(snapshots: Iterable[WorkflowSnapshot], read_at: dt.datetime | None = None) -> None:
    """Insert workflows, or update those of which an older state is stored."""
    now = read_at or timezone.now()
    rows = [workflow_values(snapshot, now) for snapshot in snapshots]
    if rows:
        changed = [name for name in rows[0] if name not in _KEPT]
        _upsert(Workflow._meta.db_table, rows, changed, _WORKFLOW_NEWER, {"labels"})


def archive(items: Iterable[Archived]) -> None:
    """Keep input, result, error and journal, without secrets; finished ones replace what was kept before."""
    begun: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    for item in items:
        snapshot = item.snapshot
        row = {
            "workflow_id": snapshot.id,
            "input": _text(snapshot.input),
            "result": _text(snapshot.result) if snapshot.state.is_final else "",
            "error": encode_clean(snapshot.error) if snapshot.error else "",
            "journal": None if item.journal is None else encode_journal(item.journal),
        }
        (begun if item.journal is None else ended).append(row)
    table = WorkflowArchive._meta.db_table
    if begun:
        _upsert(table, begun, [], "", set(), key="workflow_id")
    if ended:
        _upsert(table, ended, ["input", "result", "error", "journal"], "", set(), key="workflow_id")


def encode_journal(entries: list[Numbered]) -> bytes:
    """A journal as the archive keeps it, without secrets."""
    blob = encode_archive(entries)
    return encode_archive(clean_journal(entries)) if is_suspicious(blob) else blob


def clean_journal(entries: Iterable[Numbered]) -> list[Numbered]:
    """The journal without secrets in payloads, results, messages and reasons."""
    return [_clean(item) for item in entries]


def _clean(item: Numbered) -> Numbered:
    entry = item.entry
    changes: dict[str, Any] = {}
    for name in entry.__struct_fields__:
        old = getattr(entry, name)
        new: Any = old
        if isinstance(old, bytes):
            new = redact_json(old) if name != "digest" else old
        elif isinstance(old, msgspec.Struct) or (isinstance(old, str) and name in ("note", "reason", "label")):
            new = redact(old)
        if new is not old and new != old:
            changes[name] = new
    return Numbered(item.seq, item.at_ms, msgspec.structs.replace(entry, **changes)) if changes else item


def escalations(snapshots: Iterable[EscalationSnapshot]) -> None:
    """Insert escalations, or update those of which an older version is stored; claims stay as they are."""
    now = timezone.now()
    rows = [{**escalation_values(snapshot, now), **_UNCLAIMED} for snapshot in snapshots]
    if rows:
        changed = [name for name in rows[0] if name not in {"id", *_UNCLAIMED}]
        _upsert(Escalation._meta.db_table, rows, changed, _ESCALATION_NEWER, {"detail"})


_UNCLAIMED: dict[str, Any] = {"claimed_by_id": None, "claimed_until": None}


def withdraw(workflow_ids: Iterable[str], now: dt.datetime | None = None) -> int:
    """Close what is still open of workflows that are gone from Redis; returns how many."""
    rows = Escalation.objects.filter(workflow_id__in=list(workflow_ids), state=EscalationState.OPEN)
    return rows.update(state=EscalationState.WITHDRAWN, resolved_at=now or timezone.now())


def _text(value: Any) -> str:
    return "" if value is None else encode_clean(value)


def _adapt(name: str, value: Any, documents: set[str]) -> Any:
    if name in documents:
        return json.dumps(value, separators=(",", ":")).replace("\\u0000", "")
    if isinstance(value, dt.datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, str) and "\x00" in value:
        return value.replace("\x00", "")  # PostgreSQL stores no such character
    return value


def _upsert(
    table: str, rows: list[dict[str, Any]], changed: list[str], newer: str, documents: set[str], key: str = "id"
) -> None:
    """Insert rows, or update ``changed`` where ``newer`` holds; in key order, so that writers never deadlock."""
    columns = list(rows[0])
    rows.sort(key=lambda row: str(row[key]))
    values = [[_adapt(name, row[name], documents) for name in columns] for row in rows]
    marks = "(" + ", ".join("%s::jsonb" if _casts(name, documents) else "%s" for name in columns) + ")"
    action = "NOTHING"
    if changed:
        action = "UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in changed)
        action += f" WHERE {newer}" if newer else ""
    # names are ours and values are bound
    head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608
    tail = f" ON CONFLICT ({key}) DO {action}"
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.executemany(f"{head}{marks}{tail}", values)
            return
        for first in range(0, len(values), _ROWS):
            part = values[first : first + _ROWS]
            cursor.execute(head + ", ".join([marks] * len(part)) + tail, [value for row in part for value in row])


def _casts(name: str, documents: set[str]) -> bool:
    return name in documents and connection.vendor == "postgresql"
