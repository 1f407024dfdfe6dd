"""The disposition ledger: every failure ends in a recorded outcome, by itself or by a person's word.

A failure is an escalation that is no question, or a workflow that failed. What machines can verify is recorded by
``record_known``; the rest stays counted until somebody says how it ends.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from coordination.domain import Action, EscalationState, Reason, WorkflowState
from coordination.errors import BadRequest
from dashboard import audit, live
from dashboard.bulk_models import Disposition
from dashboard.models import Escalation, Workflow

Outcome = Disposition.Outcome
BY_HAND = (Outcome.ACCEPTED.value, Outcome.DUPLICATE.value, Outcome.SUPERSEDED.value)
QUESTIONS = (Reason.HUMAN_INPUT_REQUESTED, Reason.APPROVAL_REQUIRED)
_BATCH = 500


def refusal(row: Escalation | Workflow) -> str:
    """Why no person can record how a failure ends, or nothing."""
    if isinstance(row, Workflow):
        if row.state != WorkflowState.FAILED:
            return f"it is {row.state}, it has not failed"
        return "its end is recorded already" if is_disposed(row) else ""
    if row.reason in QUESTIONS:
        return "a question is no failure"
    if row.state == EscalationState.OPEN:
        return "still open: decide it, or cancel its workflow"
    return "its end is recorded already" if row.disposition else ""


def is_disposed(row: Workflow) -> bool:
    """Whether the end of a workflow's present failure is recorded; a restart that fails again is a new one."""
    return row.disposed_generation is not None and row.disposed_generation >= row.generation


def record(
    user: Any,
    row: Escalation | Workflow,
    outcome: str,
    *,
    other_id: str = "",
    note: str = "",
    request: HttpRequest | None = None,
) -> Disposition:
    """Record how a failure ends, by a person's word.

    Raises:
        BadRequest: It cannot be recorded; says why.
    """
    if outcome not in BY_HAND:
        raise BadRequest(
            _("%(outcome)s is nothing to record by hand. Use one of: %(names)s.")
            % {"outcome": repr(outcome), "names": ", ".join(BY_HAND)}
        )
    why = refusal(row)
    if why:
        raise BadRequest(f"{row.pk}: {why}.")
    other_id = other_id.strip()[:140]
    if outcome == Outcome.DUPLICATE and not other_id:
        raise BadRequest(_("Say what it is a duplicate of."))
    with transaction.atomic():
        made = _entry(row, outcome, user.get_username(), other_id, note.strip()[:300])
        Disposition.objects.bulk_create([made], ignore_conflicts=True)
        _mark([made])
        after = {"outcome": outcome, "other": other_id, "note": made.note}
        audit.record(user, "failure.dispose", (made.object_type, row.pk), after=after, request=request)
    live.publish_on_commit("escalations")
    return made


def _entry(row: Escalation | Workflow, outcome: str, actor: str, other_id: str = "", note: str = "") -> Disposition:
    kind = "workflow" if isinstance(row, Workflow) else "escalation"
    return Disposition(
        object_type=kind, object_id=row.pk, generation=row.generation if isinstance(row, Workflow) else 0,
        outcome=outcome, other_id=other_id, note=note, actor=actor[:150], at=timezone.now(),
    )  # fmt: skip


def _mark(entries: Iterable[Disposition]) -> None:
    """Put what was recorded on the rows themselves, so that what is left is found by an index."""
    for entry in entries:
        if entry.object_type == "workflow":
            Workflow.objects.filter(pk=entry.object_id).update(disposed_generation=entry.generation)
        else:
            Escalation.objects.filter(pk=entry.object_id, disposition="").update(disposition=entry.outcome)


# --- what is known without asking anybody ------------------------------------------------------


def record_known(limit: int = 5_000) -> int:
    """Record the end of every failure whose end is verified; repeatable, returns how many were new."""
    done = 0
    while done < limit:
        rows = list(_ended()[:_BATCH])
        found = _verified(rows)
        if not found:
            break
        with transaction.atomic():
            Disposition.objects.bulk_create(found, ignore_conflicts=True)
            _mark_many(found)
        done += len(found)
        if len(rows) < _BATCH:
            break
    return done


def _ended() -> Any:
    """Escalations that are over and whose effect is known, without a recorded end."""
    over = Q(state=EscalationState.WITHDRAWN) | Q(
        state=EscalationState.RESOLVED, outcome__in=("succeeded", "failed", "failed_again", "cancelled")
    )
    return (
        Escalation.objects.filter(over, disposition="")
        .exclude(reason__in=QUESTIONS)
        .only("id", "workflow_id", "step", "state", "action", "outcome", "resolved_by", "opened_at", "reason")
        .order_by("opened_at", "id")
    )


def _verified(rows: Sequence[Escalation]) -> list[Disposition]:
    again = [row for row in rows if row.outcome == "failed_again"]
    later = _later_escalations(again)
    # A step that failed again has its next escalation a moment later; without either it is not over.
    alone = {row.workflow_id for row in again if row.pk not in later}
    ended = set(Workflow.objects.filter(pk__in=alone, finished_at__isnull=False).values_list("pk", flat=True))
    open_ended = {row.pk for row in again if row.pk not in later and row.workflow_id not in ended}
    known = [row for row in rows if row.pk not in open_ended]
    return [_of(row, later.get(row.pk, "")) for row in known]


def _of(row: Escalation, successor: str) -> Disposition:
    actor = row.resolved_by or "ganglion"
    if row.outcome == "succeeded" and row.state == EscalationState.RESOLVED:
        if row.action == Action.SUPPLY:
            return _entry(row, Outcome.SUPPLIED, actor)
        if row.action == Action.SKIP:
            return _entry(row, Outcome.ACCEPTED, actor, note="the step was skipped")
        return _entry(row, Outcome.RETRIED, actor)
    if row.outcome == "failed":
        return _entry(row, Outcome.ACCEPTED, actor, note="the step was let fail")
    if row.outcome == "failed_again":
        words = "failed again" if successor else "failed again, and its workflow with it"
        return _entry(row, Outcome.SUPERSEDED, actor, successor or row.workflow_id, words)
    return _entry(row, Outcome.SUPERSEDED, actor, row.workflow_id, "withdrawn: its workflow ended, or was restarted")


def _later_escalations(rows: Sequence[Escalation]) -> dict[str, str]:
    """For each escalation of a step that failed again the next one of the same step."""
    if not rows:
        return {}
    found: dict[str, str] = {}
    peers = Escalation.objects.filter(workflow_id__in={row.workflow_id for row in rows}).order_by("opened_at", "id")
    steps: dict[tuple[str, str], list[tuple[dt.datetime, str]]] = {}
    for flow, step, opened_at, pk in peers.values_list("workflow_id", "step", "opened_at", "id"):
        steps.setdefault((flow, step), []).append((opened_at, pk))
    for row in rows:
        for opened_at, pk in steps.get((row.workflow_id, row.step), []):
            if pk != row.pk and opened_at >= row.opened_at:
                found[row.pk] = pk
                break
    return found


def _mark_many(entries: list[Disposition]) -> None:
    """``_mark`` for many escalations, one statement for each outcome."""
    for outcome in {entry.outcome for entry in entries}:
        ids = [entry.object_id for entry in entries if entry.outcome == outcome]
        Escalation.objects.filter(pk__in=ids, disposition="").update(disposition=outcome)


def retried(row: Workflow, actor: str, other_id: str) -> None:
    """Record that a failed workflow's rerun has succeeded."""
    made = _entry(row, Outcome.RETRIED, actor, other_id)
    with transaction.atomic():
        Disposition.objects.bulk_create([made], ignore_conflicts=True)
        _mark([made])
