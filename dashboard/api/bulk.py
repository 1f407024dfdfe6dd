"""Bulk actions, the disposition ledger and saved views over the API."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from pydantic import Field

from dashboard import bulk, queries, saved_views
from dashboard.api.auth import caller, confirmed, may
from dashboard.api.shapes import Body
from dashboard.bulk_models import BulkItem, SavedView
from dashboard.bulk_plan import Plan, Selection

router = Router()


class BulkIn(Body):
    """What to do to which items."""

    target: Literal["escalations", "workflows"]
    action: str = Field(examples=["retry"])
    ids: list[str] = Field([], max_length=10_000, description="These items, or:")
    filter: dict[str, str] = Field({}, description="everything that matches: the query parameters of the list.")
    before: dt.datetime | None = Field(None, description="Leave out what came later.")
    payload: Any = Field(
        None,
        description="Fields to change (edit), a result (supply), a default (skip), {other_id}, "
        "{agent} or {requires} (reroute), {step} or {} for each its own (restart).",
    )

    @property
    def selection(self) -> Selection:
        """The items that are meant."""
        return Selection(self.target, urlencode(self.filter), tuple(dict.fromkeys(self.ids)), self.before)


class BulkStart(BulkIn):
    """A preview that is confirmed."""

    digest: str = Field(description="Of the preview; refused with selection_changed when something has changed since.")
    id: UUID | None = Field(None, description="The same id never starts a second one.")
    comment: str = Field("", max_length=4000)
    canary: bool = True
    per_second: float = bulk.PER_SECOND
    most_failing: float = Field(bulk.MOST_FAILING, description="The share that may fail again before it stops.")


class LeftOut(Schema):
    """Why items are left out."""

    reason: str
    count: int


class Kind(Schema):
    """How many items or steps of one kind."""

    kind: str
    count: int


class PlanOut(Schema):
    """The dry run."""

    count: int
    kinds: list[Kind]
    left_out: list[LeftOut]
    steps_again: list[Kind]
    risks: list[LeftOut]
    needs_approval: bool
    digest: str


class BulkOut(Schema):
    """A bulk action and how far it is."""

    id: UUID
    target: str
    action: str
    label: str
    state: str
    why: str
    actor: str
    total: int
    counts: dict[str, int]
    created_at: dt.datetime
    finished_at: dt.datetime | None


class ItemOut(Schema):
    """One item."""

    place: int
    object_id: str
    state: str
    answer: str
    other_id: str
    sent_at: dt.datetime | None
    finished_at: dt.datetime | None


class LedgerOut(Schema):
    """How many failures have no recorded end."""

    open: int
    pending: int
    workflows: int
    total: int


class ViewIn(Body):
    """A view to save."""

    page: Literal["workflows", "escalations"]
    name: str = Field(max_length=60)
    query: str = Field("", max_length=1000)


class ViewOut(Schema):
    """A saved view."""

    id: int
    page: str
    name: str
    query: str


def _plan(made: Plan) -> dict[str, Any]:
    return {
        "count": len(made.eligible),
        "kinds": [{"kind": kind, "count": count} for kind, count in made.kinds],
        "left_out": [{"reason": words, "count": count} for words, count, _ in made.refusals],
        "steps_again": [{"kind": kind, "count": count} for kind, count in made.again],
        "risks": [{"reason": words, "count": count} for words, count in made.risks],
        "needs_approval": bulk.needs_approval(made),
        "digest": made.digest,
    }


def _shown(bulk_id: UUID) -> dict[str, Any]:
    row = bulk.get(str(bulk_id))
    progress = queries.bulk_action(str(row.pk))
    names = [name for name in BulkOut.model_fields if name != "counts"]
    return {**{name: getattr(row, name) for name in names}, "counts": progress.counts if progress else {}}


@router.post("/bulk/preview", auth=may("operate"), response=PlanOut, tags=["bulk"], summary="Dry run")
def preview(request: HttpRequest, body: BulkIn) -> Any:
    """What a bulk action would touch, what not and why; changes nothing."""
    return _plan(bulk.plan(body.selection, body.action, body.payload, caller(request)))


@router.post("/bulk", auth=may("operate"), response={202: BulkOut}, tags=["bulk"], summary="Begin")
def start(request: HttpRequest, body: BulkStart) -> Any:
    """Begin exactly what was previewed; it goes on by itself."""
    confirmed(request)
    made = bulk.start(
        caller(request),
        body.selection,
        body.action,
        body.payload,
        digest=body.digest,
        bulk_id=body.id,
        comment=body.comment,
        canary=body.canary,
        per_second=body.per_second,
        most_failing=body.most_failing,
        request=request,
    )
    return Status(202, _shown(made.pk))


@router.get("/bulk/{uuid:bulk_id}", auth=may("view"), response=BulkOut, tags=["bulk"], summary="Read one")
def get_bulk(request: HttpRequest, bulk_id: UUID) -> Any:
    """How far a bulk action is."""
    return _shown(bulk_id)


@router.get("/bulk/{uuid:bulk_id}/items", auth=may("view"), response=list[ItemOut], tags=["bulk"], summary="Its items")
def get_items(request: HttpRequest, bulk_id: UUID, state: BulkItem.State | None = None, page: int = 1) -> Any:
    """What became of each item, 100 a page."""
    return queries.bulk_items(bulk.get(str(bulk_id)), state or "", page)[0]


@router.post("/bulk/{uuid:bulk_id}/cancel", auth=may("operate"), response=BulkOut, tags=["bulk"], summary="Cancel")
def cancel(request: HttpRequest, bulk_id: UUID) -> Any:
    """Touch nothing more."""
    bulk.cancel(caller(request), str(bulk_id), request)
    return _shown(bulk_id)


@router.post("/bulk/{uuid:bulk_id}/go-on", auth=may("operate"), response=BulkOut, tags=["bulk"], summary="Go on")
def go_on(request: HttpRequest, bulk_id: UUID) -> Any:
    """Go on after a stop, with a new canary."""
    confirmed(request)
    bulk.go_on(caller(request), str(bulk_id), request)
    return _shown(bulk_id)


@router.get("/ledger", auth=may("view"), response=LedgerOut, tags=["ledger"], summary="Failures without an end")
def ledger(request: HttpRequest) -> Any:
    """The counter: zero only when every failure has ended in a recorded outcome."""
    found = queries.ledger()
    return {"open": found.open, "pending": found.pending, "workflows": found.workflows, "total": found.total}


@router.get("/views", auth=may("view"), response=list[ViewOut], tags=["views"], summary="Saved views")
def list_views(request: HttpRequest, page: Literal["workflows", "escalations"] = "workflows") -> Any:
    """The team's views of a list."""
    return saved_views.views(page)


@router.post("/views", auth=may("operate"), response={201: ViewOut}, tags=["views"], summary="Save one")
def save_view(request: HttpRequest, body: ViewIn) -> Any:
    """Save a view for the whole team."""
    return Status(201, saved_views.save(caller(request), body.page, body.name, body.query, request))


@router.delete("/views/{int:view_id}", auth=may("operate"), response={204: None}, tags=["views"], summary="Delete one")
def delete_view(request: HttpRequest, view_id: int) -> Any:
    """Take a view away; its owner or an administrator may."""
    saved_views.delete(caller(request), get_object_or_404(SavedView, pk=view_id), request)
    return Status(204, None)
