"""What became of decisions: an escalation's outcome follows the step, not the click.

dispatched → succeeded | failed_again | cancelled; only the step itself makes it ``succeeded``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from coordination.domain import EscalationState, StepState, StepView, WorkflowSnapshot, WorkflowState
from dashboard.many import one_of, select
from dashboard.models import Escalation


@dataclass(frozen=True, slots=True)
class Open:
    """An escalation whose decision has not shown its effect, or that its workflow left behind."""

    id: str
    workflow_id: str
    step: str
    state: str


def find(changed: Collection[str], finished: Collection[str]) -> list[Open]:
    """The escalations of a batch's workflows that may have something to learn from it."""
    condition, ids = one_of("workflow_id", changed)
    # By workflow alone: no index serves an OR, and there may be thousands of open ones.
    sql = f"SELECT id, workflow_id, step, state, outcome FROM {Escalation._meta.db_table} WHERE {condition}"  # noqa: S608 our names
    ended = set(finished)
    return [
        Open(*row[:4])
        for row in select(sql, ids)
        if row[4] == "dispatched" or (row[3] == EscalationState.OPEN and row[1] in ended)
    ]


def outcome(escalation: Open, snapshot: WorkflowSnapshot, steps: list[StepView]) -> str:
    """The outcome of an accepted decision, or ``dispatched`` while it is not known."""
    step = next((step for step in steps if step.id == escalation.step), None)
    if step is not None:
        if step.state in (StepState.SUCCEEDED, StepState.SKIPPED):
            return "dispatched" if _is_untaken(snapshot) else "succeeded"
        if step.state is StepState.FAILED:
            return "failed_again"
        if step.state is StepState.ESCALATED and step.escalation_id != escalation.id:
            return "failed_again"
    if snapshot.state is WorkflowState.COMPLETED:
        return "succeeded"
    if snapshot.state is WorkflowState.FAILED:
        return "failed_again"
    return "cancelled" if snapshot.state is WorkflowState.CANCELLED else "dispatched"


def _is_untaken(snapshot: WorkflowSnapshot) -> bool:
    """Whether an answer is in the journal, but nobody goes on with it yet: it is paused, or no coordinator has it."""
    if snapshot.state is WorkflowState.PAUSED:
        return True
    return not snapshot.owner and snapshot.state in (WorkflowState.QUEUED, WorkflowState.NEEDS_HUMAN)


def write(outcomes: dict[str, str]) -> None:
    """Store outcomes that have become known."""
    for known in set(outcomes.values()):
        ids = [name for name, value in outcomes.items() if value == known]
        Escalation.objects.filter(pk__in=ids, outcome="dispatched").update(outcome=known)
