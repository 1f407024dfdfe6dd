"""The disposition ledger as people read it: what is left, and what was recorded."""

# ruff: noqa: S611 names of columns are ours
from __future__ import annotations

from dataclasses import dataclass

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from coordination.domain import Reason
from dashboard.bulk_models import Disposition
from dashboard.models import Escalation, Workflow

CAP = 10_000
_QUESTIONS = (Reason.HUMAN_INPUT_REQUESTED, Reason.APPROVAL_REQUIRED)
# The condition of the partial index, written out, because SQLite knows it only so.
_UNDISPOSED = (
    "dashboard_workflow.state = 'failed' AND (dashboard_workflow.disposed_generation IS NULL"
    " OR dashboard_workflow.disposed_generation < (dashboard_workflow.generation))"
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """How many failures have no recorded end yet (each count at most ``CAP``)."""

    open: int  # escalations that wait for a decision
    pending: int  # decided, the effect not verified yet
    workflows: int  # failed, and nobody has said how that ends

    @property
    def total(self) -> int:
        """Zero only when every failure has ended in a recorded outcome."""
        return self.open + self.pending + self.workflows


def undisposed_escalations() -> QuerySet[Escalation]:
    """Escalations without a recorded end, oldest first; questions are no failures."""
    rows = Escalation.objects.filter(disposition="").exclude(reason__in=_QUESTIONS)
    return rows.order_by("opened_at", "id")


def undisposed_workflows() -> QuerySet[Workflow]:
    """Failed workflows of which nobody has said how that ends, oldest first."""
    return Workflow.objects.filter(RawSQL(_UNDISPOSED, (), output_field=BooleanField())).order_by("finished_at", "id")


def ledger() -> Ledger:
    """The counter."""
    rows = undisposed_escalations().order_by()
    opened = rows.filter(state="open").values("pk")[:CAP].count()
    pending = rows.exclude(state="open").values("pk")[:CAP].count()
    return Ledger(opened, pending, undisposed_workflows().order_by().values("pk")[:CAP].count())


def ended_undisposed(limit: int) -> list[Escalation]:
    """Escalations that are over, without a recorded end, oldest first."""
    return list(undisposed_escalations().exclude(state="open")[:limit])


def disposition_of(row: Escalation) -> Disposition | None:
    """What was recorded of an escalation's end."""
    if not row.disposition:
        return None
    return Disposition.objects.filter(object_type="escalation", object_id=row.pk).first()


def dispositions(limit: int = 50) -> list[Disposition]:
    """What was recorded last."""
    return list(Disposition.objects.order_by("-at", "-pk")[:limit])
