"""Brings the history to what Redis holds where events alone cannot: after a loss, a rewind, a restored backup.

Rows are read first and Redis after them: what Redis then holds older than the row, it has lost. Every write
asks for the row as it was read, so that a relay that writes meanwhile is never overruled.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from coordination.domain import EscalationSnapshot, EscalationState, WorkflowSnapshot, WorkflowState
from dashboard import mirror
from dashboard.models import Decision, Escalation, Workflow
from dashboard.redaction import REDACTED
from dashboard.rows import escalation_values, workflow_values

LIVING = tuple(state for state in WorkflowState if not state.is_final)


class Place(NamedTuple):
    """How far a row has come."""

    generation: int
    seq: int
    is_final: bool  # and not only closed because Redis had lost it
    state: str
    owner: str


def places(ids: Iterable[str]) -> dict[str, Place]:
    """How far the rows of workflows have come; those without a row are left out."""
    names = ("pk", "generation", "seq", "finished_at", "error", "state", "owner")
    rows = Workflow.objects.filter(pk__in=list(ids)).values_list(*names)
    return {
        pk: Place(generation, seq, finished is not None and error != mirror.LOST, state, owner)
        for pk, generation, seq, finished, error, state, owner in rows
    }


def living(after: str, most: int) -> list[str]:
    """Ids of workflows that live as far as the history knows, in their order after one of them."""
    rows = Workflow.objects.filter(finished_at=None, pk__gt=after).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:most])


def rewind(snapshots: Iterable[WorkflowSnapshot], known: dict[str, Place]) -> list[str]:
    """Set rows back to what Redis holds, where it has lost what they came from; what has finished stays.

    Args:
        snapshots: Read after the rows.
        known: The rows' places.

    Returns:
        The workflows that were set back.
    """
    now = timezone.now()
    done = []
    with transaction.atomic():
        for snapshot in snapshots:
            place = known.get(snapshot.id)
            if place is None or place.is_final or (snapshot.generation, snapshot.seq) >= place[:2]:
                continue
            values = workflow_values(snapshot, now)
            del values["id"]
            rows = Workflow.objects.filter(pk=snapshot.id, generation=place.generation, seq=place.seq)
            if rows.update(**values):
                done.append(snapshot.id)
    return done


def close(missing: Iterable[str]) -> int:
    """Close what Redis no longer holds as failed, in words; returns how many.

    They open again by themselves when Redis has them again.
    """
    ids, now = sorted(missing), timezone.now()
    with transaction.atomic():
        rows = Workflow.objects.filter(pk__in=ids, finished_at=None)
        closed = rows.update(
            state=WorkflowState.FAILED, error=mirror.LOST, finished_at=now, updated_at=now, owner="", retrying=0
        )
        mirror.withdraw(ids, now)
    return closed


# --- escalations ---------------------------------------------------------------------------


def open_escalations(workflow_ids: Iterable[str]) -> list[str]:
    """Ids of escalations of some workflows that are open as far as the history knows."""
    rows = Escalation.objects.filter(state=EscalationState.OPEN, workflow_id__in=list(workflow_ids))
    return list(rows.values_list("pk", flat=True))


def versions(ids: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Version and state of escalations' rows."""
    rows = Escalation.objects.filter(pk__in=list(ids)).values_list("pk", "version", "state")
    return {pk: (version, state) for pk, version, state in rows}


def reopen(snapshots: Iterable[EscalationSnapshot], known: dict[str, tuple[int, str]]) -> list[str]:
    """Open escalations again whose resolution Redis has lost, and send the lost decisions again.

    Args:
        snapshots: Read after the rows.
        known: The rows' versions and states.

    Returns:
        The escalations that were opened again.
    """
    now = timezone.now()
    done = []
    with transaction.atomic():
        for snapshot in snapshots:
            version, state = known.get(snapshot.id, (0, EscalationState.OPEN))
            if snapshot.state is not EscalationState.OPEN or state == EscalationState.OPEN:
                continue
            values = escalation_values(snapshot, now)
            del values["id"]
            if Escalation.objects.filter(pk=snapshot.id, version=version, state=state).update(**values):
                done.append(snapshot.id)
                _send_again(snapshot, now)
    return done


def _send_again(snapshot: EscalationSnapshot, now: dt.datetime) -> None:
    """An accepted decision that Redis has lost goes out again under its id, unless its payload is not kept whole."""
    lost = Decision.objects.filter(escalation_id=snapshot.id, version=snapshot.version, state="accepted")
    words = "Redis lost this decision, and its payload was not kept because it holds a secret. Decide again."
    lost.filter(payload__contains=REDACTED).update(state="conflict", answer=words)
    lost.update(state="submitted", answer="Redis lost this decision; it is sent again.", answered_at=None, due_at=now)


def withdraw_unknown(ids: Sequence[str]) -> int:
    """Close open escalations that Redis does not know (any more); returns how many."""
    rows = Escalation.objects.filter(pk__in=ids, state=EscalationState.OPEN)
    return rows.update(state=EscalationState.WITHDRAWN, resolved_at=timezone.now())
