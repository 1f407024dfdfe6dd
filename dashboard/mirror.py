"""Writes what Redis holds into the history, never backwards.

One statement for many rows: a row changes only when what comes is newer, (generation, seq) for a
workflow and version for an escalation. So relays may run side by side, be late, and repeat themselves.

Invariant 10: the history equals the events.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from coordination.domain import EscalationSnapshot, EscalationState, WorkflowSnapshot
from coordination.journal import Numbered
from dashboard.archiving import Documents, documents
from dashboard.many import one_of, select
from dashboard.models import Escalation, HostEvent, Workflow, WorkflowArchive
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
_CONSTANT = {"id", "summary", "created_at", "type", "version", "parent_id", "labels"}  # never change after submission
_WORKFLOW = Workflow._meta.db_table


def store(
    snapshots: Sequence[WorkflowSnapshot],
    journals: dict[str, list[Numbered]],
    escalated: Sequence[EscalationSnapshot] = (),
    hosts: Sequence[HostEvent] = (),
    read_at: dt.datetime | None = None,
    known: Container[str] = (),
) -> None:
    """Mirror a batch in one transaction.

    Args:
        snapshots: Workflows as they are now, each once.
        journals: For finished ones, their whole journals.
        escalated: Escalations as they are now, each once.
        hosts: What happened to hosts.
        read_at: When reading from Redis began.
        known: Workflows whose input the history is known to hold.
    """
    with transaction.atomic():
        if snapshots:
            workflows(snapshots, read_at, journals, known)
        escalations(escalated)
        if hosts:
            HostEvent.objects.bulk_create(hosts, ignore_conflicts=True)


def workflows(
    snapshots: Iterable[WorkflowSnapshot],
    read_at: dt.datetime | None = None,
    journals: Mapping[str, list[Numbered]] = MappingProxyType({}),
    known: Container[str] = (),
) -> None:
    """Insert workflows, or update those of which an older state is stored; see ``store``."""
    now = read_at or timezone.now()
    found = sorted(snapshots, key=lambda snapshot: snapshot.id)  # so that writers never deadlock
    condition, ids = one_of("id", [snapshot.id for snapshot in found])
    there = {row[0] for row in select(f"SELECT id FROM {_WORKFLOW} WHERE {condition}", ids)}  # noqa: S608 our names
    _renew([snapshot for snapshot in found if snapshot.id in there and snapshot.id not in known])
    rows: list[dict[str, Any]] = []
    begun: list[tuple[str, Documents]] = []
    ended: list[tuple[str, Documents]] = []
    for snapshot in found:
        journal = journals.get(snapshot.id)
        is_known = snapshot.id in there and snapshot.id in known
        is_clean = not snapshot.progress and snapshot.error is None
        if journal is not None or not is_known:
            kept = documents(snapshot, journal)
            is_clean = kept.is_clean
            (begun if journal is None else ended).append((snapshot.id, kept))
        rows.append(workflow_values(snapshot, now, is_clean=is_clean, is_known=is_known))
    if rows:
        _upsert(_WORKFLOW, rows, [name for name in rows[0] if name not in _CONSTANT], _WORKFLOW_NEWER)
    _archive(begun, [])
    _archive(ended, ["input", "result", "error", "journal"])


def _renew(snapshots: Iterable[WorkflowSnapshot]) -> None:
    """Begin the rows anew of workflows that were submitted again, under the same id, after Redis had lost them."""
    born = {snapshot.id: created for snapshot in snapshots if (created := at(snapshot.created_ms)) is not None}
    if not born:
        return
    known = Workflow.objects.filter(pk__in=list(born)).values_list("pk", "created_at")
    for pk, created in [row for row in known if row[1] < born[row[0]]]:
        Workflow.objects.filter(pk=pk, created_at=created).delete()


def _archive(items: list[tuple[str, Documents]], changed: list[str]) -> None:
    """Keep documents; those of finished workflows replace what was kept before."""
    rows = [
        {
            "workflow_id": workflow_id,
            "input": kept.input,
            "result": kept.result,
            "error": kept.error,
            "journal": kept.journal,
        }
        for workflow_id, kept in items
    ]
    if rows:
        _upsert(WorkflowArchive._meta.db_table, rows, changed, key="workflow_id")


def escalations(snapshots: Iterable[EscalationSnapshot]) -> None:
    """Insert escalations, or update those of which an older version is stored; claims stay as they are."""
    now = timezone.now()
    rows = [{**escalation_values(snapshot, now), **_UNCLAIMED} for snapshot in snapshots]
    if rows:
        rows.sort(key=lambda row: str(row["id"]))
        changed = [name for name in rows[0] if name not in {"id", *_UNCLAIMED}]
        _upsert(Escalation._meta.db_table, rows, changed, _ESCALATION_NEWER)


_UNCLAIMED: dict[str, Any] = {"claimed_by_id": None, "claimed_until": None}


def withdraw(workflow_ids: Iterable[str], now: dt.datetime | None = None) -> int:
    """Close what is still open of workflows that are gone from Redis; returns how many."""
    rows = Escalation.objects.filter(workflow_id__in=list(workflow_ids), state=EscalationState.OPEN)
    return rows.update(state=EscalationState.WITHDRAWN, resolved_at=now or timezone.now())


def _bound(row: dict[str, Any], is_text: bool) -> list[Any]:
    """A row's values as the database takes them."""
    values: list[Any] = []
    for value in row.values():
        kind = type(value)
        if kind is str:
            # PostgreSQL stores no such character.
            values.append(value.replace("\x00", "") if "\x00" in value else value)
        elif kind is dt.datetime and is_text:
            values.append(value.isoformat(" ")[:-6])  # UTC, as Django writes it
        elif kind is dict:
            values.append(json.dumps(value, separators=(",", ":")).replace("\\u0000", "") if value else "{}")
        else:
            values.append(value)
    return values


def _upsert(table: str, rows: list[dict[str, Any]], changed: Iterable[str], newer: str = "", key: str = "id") -> None:
    """Insert rows, or update ``changed`` where ``newer`` holds; rows come in key order, so writers never deadlock."""
    is_sqlite = connection.vendor == "sqlite"
    values = [_bound(row, is_sqlite) for row in rows]
    marks = ", ".join("%s::jsonb" if type(value) is dict and not is_sqlite else "%s" for value in rows[0].values())
    sets = ", ".join(f"{name} = excluded.{name}" for name in changed)
    action = (f"UPDATE SET {sets} WHERE {newer}" if newer else f"UPDATE SET {sets}") if sets else "NOTHING"
    # names are ours and values are bound
    head = f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES "  # noqa: S608
    tail = f" ON CONFLICT ({key}) DO {action}"
    with connection.cursor() as cursor:
        if is_sqlite:
            cursor.executemany(f"{head}({marks}){tail}", values)
            return
        for first in range(0, len(values), _ROWS):
            part = values[first : first + _ROWS]
            all_marks = ", ".join([f"({marks})"] * len(part))
            cursor.execute(head + all_marks + tail, [value for row in part for value in row])
