"""Bulk actions as people see them: progress, items, what is under way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from django.db.models import Count

from dashboard.bulk_models import BulkAction, BulkItem
from dashboard.models import Decision

ITEM_ROWS = 100
_CHUNK = 5_000
_UNDER_WAY = (BulkItem.State.WAITING, BulkItem.State.SENT)


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """One bulk action with its counts."""

    row: BulkAction
    counts: dict[str, int] = field(default_factory=dict)  # item state -> how many

    @property
    def done(self) -> int:
        """Items whose outcome is known."""
        return sum(count for state, count in self.counts.items() if state not in _UNDER_WAY)

    @property
    def sent(self) -> int:
        """Items that were attempted, the verified ones included."""
        return sum(count for state, count in self.counts.items() if state != BulkItem.State.WAITING)

    @property
    def waiting(self) -> int:
        """Items that are untouched."""
        return self.counts.get(BulkItem.State.WAITING, 0)


def _with_counts(rows: list[BulkAction]) -> list[BulkProgress]:
    counts: dict[object, dict[str, int]] = {row.pk: {} for row in rows}
    grouped = BulkItem.objects.filter(bulk__in=rows).values_list("bulk_id", "state").annotate(many=Count("pk"))
    for bulk_id, state, many in grouped.order_by():
        counts[bulk_id][state] = many
    return [BulkProgress(row, counts[row.pk]) for row in rows]


def bulk_actions(limit: int = 50) -> list[BulkProgress]:
    """The newest bulk actions."""
    return _with_counts(list(BulkAction.objects.order_by("-created_at")[:limit]))


def bulk_action(bulk_id: str) -> BulkProgress | None:
    """One bulk action, or nothing when there is none of this id."""
    row = BulkAction.objects.filter(pk=bulk_id).first()
    return _with_counts([row])[0] if row else None


def bulk_of_cause(fingerprint: str) -> BulkProgress | None:
    """The newest bulk action on one cause."""
    row = BulkAction.objects.filter(fingerprint=fingerprint).order_by("-created_at").first()
    return _with_counts([row])[0] if row else None


def bulk_items(bulk: BulkAction, state: str = "", page: int = 1, limit: int = ITEM_ROWS) -> tuple[list[BulkItem], bool]:
    """A page of items in their order, and whether there are more."""
    rows = BulkItem.objects.filter(bulk=bulk)
    if state:
        rows = rows.filter(state=state)
    first = (max(1, page) - 1) * limit
    found = list(rows.order_by("place")[first : first + limit + 1])
    return found[:limit], len(found) > limit


def in_bulk_actions(ids: Collection[str]) -> set[str]:
    """Those of the objects that an active bulk action is working on or is going to."""
    found: set[str] = set()
    names = list(ids)
    active = BulkItem.objects.filter(state__in=_UNDER_WAY, bulk__state__in=BulkAction.ACTIVE)
    for first in range(0, len(names), _CHUNK):
        found.update(active.filter(object_id__in=names[first : first + _CHUNK]).values_list("object_id", flat=True))
    return found


def decided(ids: Collection[str]) -> set[str]:
    """Those of the escalations about which a decision has been submitted and not answered."""
    found: set[str] = set()
    names = list(ids)
    waiting = Decision.objects.filter(state__in=("submitted", "pending"))
    for first in range(0, len(names), _CHUNK):
        chunk = names[first : first + _CHUNK]
        found.update(waiting.filter(escalation_id__in=chunk).values_list("escalation_id", flat=True))
    return found
