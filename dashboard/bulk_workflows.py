"""Bulk actions on workflows: cancel and the like by the operations of one, and the ledger's words by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from coordination.domain import FINAL_STATES, WorkflowState
from coordination.errors import BadRequest, WorkflowFinished, WorkflowNotFound
from dashboard import dispositions, operations, queries, steering
from dashboard.bulk_models import BulkAction, BulkItem
from dashboard.bulk_plan import MOST, Candidate, Selection, TooMany
from dashboard.models import Workflow
from dashboard.queries.workflows import matching


class Verb(NamedTuple):
    """One thing that can be done to a workflow."""

    refusal: Callable[[Workflow], str]  # why it does not fit, or nothing
    apply: Callable[[Any, str, BulkAction], str]  # user, workflow id; returns the id of a workflow that it started
    verified: Callable[[Workflow], bool | None]  # whether it took effect, None while that is open


def _living(row: Workflow) -> str:
    return f"already {row.state}" if row.state in FINAL_STATES else ""


def _held(row: Workflow) -> str:
    return _living(row) or ("" if row.state == WorkflowState.PAUSED else "not paused")


def _holdable(row: Workflow) -> str:
    return _living(row) or ("already paused" if row.state == WorkflowState.PAUSED else "")


def _ended(row: Workflow) -> str:
    return "" if row.state in FINAL_STATES else f"still {row.state}: it would run twice"


def _cancel(user: Any, workflow_id: str, bulk: BulkAction) -> str:
    operations.cancel(user, workflow_id, bulk.comment)
    return ""


def _terminate(user: Any, workflow_id: str, bulk: BulkAction) -> str:
    steering.terminate(user, workflow_id, bulk.comment)
    return ""


def _pause(user: Any, workflow_id: str, bulk: BulkAction) -> str:
    steering.pause(user, workflow_id, bulk.comment)
    return ""


def _resume(user: Any, workflow_id: str, bulk: BulkAction) -> str:
    steering.resume(user, workflow_id)
    return ""


def _rerun(user: Any, workflow_id: str, bulk: BulkAction) -> str:
    return steering.rerun(user, workflow_id, str(bulk.pk))


def _cancelled(row: Workflow) -> bool | None:
    return row.state == WorkflowState.CANCELLED if row.state in FINAL_STATES else None


def _paused(row: Workflow) -> bool | None:
    return True if row.state == WorkflowState.PAUSED else False if row.state in FINAL_STATES else None


def _resumed(row: Workflow) -> bool | None:
    return None if row.state == WorkflowState.PAUSED else True


def _succeeded(row: Workflow) -> bool | None:
    if row.state == WorkflowState.NEEDS_HUMAN:
        return False
    return row.state == WorkflowState.COMPLETED if row.state in FINAL_STATES else None


VERBS: dict[str, Verb] = {
    "cancel": Verb(_living, _cancel, _cancelled),
    "terminate": Verb(_living, _terminate, _cancelled),
    "pause": Verb(_holdable, _pause, _paused),
    "resume": Verb(_held, _resume, _resumed),
    "rerun": Verb(_ended, _rerun, _succeeded),
}
ACTIONS = (*VERBS, *dispositions.BY_HAND)


def select(selection: Selection) -> list[Workflow]:
    """The rows of a selection.

    Raises:
        TooMany: More than one bulk action takes.
    """
    if selection.ids:
        rows = list(Workflow.objects.filter(pk__in=selection.ids[: MOST + 1]).order_by("created_at", "id"))
    else:
        rows = matching(queries.WorkflowFilter.from_params(selection.filter), limit=MOST + 1)
    if selection.before:
        rows = [row for row in rows if row.created_at <= selection.before]
    if len(rows) > MOST:
        raise TooMany
    return rows


def candidates(selection: Selection, action: str, payload: Any, user: Any) -> list[Candidate]:
    """Each row of a selection with the reason why it is left out, if it is.

    Raises:
        TooMany: More than one bulk action takes.
        BadRequest: The action does not exist.
    """
    if action not in ACTIONS:
        raise BadRequest(
            _("%(action)s is nothing that can be done to workflows. Use one of: %(names)s.")
            % {"action": repr(action), "names": ", ".join(ACTIONS)}
        )
    rows = select(selection)
    held = queries.in_bulk_actions([row.pk for row in rows])
    check = dispositions.refusal if action in dispositions.BY_HAND else VERBS[action].refusal
    busy = "another bulk action is working on it"
    return [_candidate(row, action, busy if row.pk in held else check(row)) for row in rows]


def _candidate(row: Workflow, action: str, refusal: str) -> Candidate:
    """A workflow's version is its generation: progress between preview and confirm is no drift, its end is."""
    again = {row.type: row.steps_total} if action == "rerun" and row.steps_total else {}
    risk = "run from the beginning under new idempotency keys: effects outside are repeated" if again else ""
    return Candidate(row.pk, row.generation, row.summary or row.pk, row.type, again, refusal, risk)


def send(bulk: BulkAction, item: BulkItem, payload: Any, user: Any) -> tuple[str, str]:
    """Do it to one workflow; returns the item's new state and an answer in words.

    Raises:
        TryAgain: Redis does not answer; the item is sent again later.
    """
    if bulk.action in dispositions.BY_HAND:
        row = Workflow.objects.filter(pk=item.object_id).first()
        refusal = dispositions.refusal(row) if row else "it is gone from the history"
        if row is None or refusal:
            return BulkItem.State.REFUSED, refusal
        dispositions.record(user, row, bulk.action, other_id=(payload or {}).get("other_id", ""), note=bulk.comment)
        return BulkItem.State.SUCCEEDED, ""
    try:
        item.other_id = VERBS[bulk.action].apply(user, item.object_id, bulk)
    except WorkflowFinished:
        return BulkItem.State.SENT, ""  # by this very action, or otherwise: looking at it tells
    except (BadRequest, WorkflowNotFound) as error:
        return BulkItem.State.REFUSED, str(error)
    return BulkItem.State.SENT, ""


def verify(bulk: BulkAction, items: list[BulkItem]) -> dict[int, tuple[str, str]]:
    """What became of items that were sent, by their primary key; those still under way are left out."""
    rows = Workflow.objects.in_bulk([item.other_id or item.object_id for item in items])
    found: dict[int, tuple[str, str]] = {}
    for item in items:
        row = rows.get(item.other_id or item.object_id)
        if row is None:
            continue
        effect = VERBS[bulk.action].verified(row)
        words = row.error or f"it is {row.state}"
        if effect:
            found[item.pk] = (BulkItem.State.SUCCEEDED, "")
            if item.other_id:
                _record_rerun(bulk, item)
        elif effect is False:
            found[item.pk] = (BulkItem.State.FAILED_AGAIN if item.other_id else BulkItem.State.REFUSED, words)
    return found


def _record_rerun(bulk: BulkAction, item: BulkItem) -> None:
    """A failed workflow whose rerun has succeeded is disposed of."""
    row = Workflow.objects.filter(pk=item.object_id).first()
    if row is not None and not dispositions.refusal(row):
        dispositions.retried(row, bulk.actor, item.other_id)
