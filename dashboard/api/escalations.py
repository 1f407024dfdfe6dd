"""Escalations over the API."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from coordination.errors import DecisionConflict, EscalationNotFound
from dashboard import claims, comments, decisions, queries
from dashboard.api import shapes
from dashboard.api.auth import caller, may

router = Router(tags=["escalations"])


class ListQuery(Schema):
    """How to narrow down the queue."""

    state: Literal["open", "resolved", "withdrawn", "all", ""] = "open"
    reason: str = ""
    type: str = Field("", description="A workflow type.")
    task: str = Field("", description="A task type.")
    cause: str = Field("", description="A fingerprint.")
    claim: str = Field("", description="mine or free")
    q: str = ""
    sort: str = Field("", description="newest for the newest first")
    page: int = Field(1, ge=1)
    limit: int = Field(50, ge=1, le=500)


@router.get("/escalations", auth=may("view"), response=shapes.EscalationList, summary="List escalations")
def list_escalations(request: HttpRequest, wanted: Query[ListQuery]) -> Any:
    """A page of the queue, oldest first."""
    params = {name: str(value) for name, value in wanted.dict(exclude={"page", "limit"}).items()}
    narrowed = queries.EscalationFilter.from_params(params)
    page = queries.escalations(narrowed, page=wanted.page, limit=wanted.limit, user_id=caller(request).pk)
    return {
        "items": page.rows,
        "page": page.page,
        "has_next": page.has_next,
        "total": page.total,
        "capped": page.capped,
    }


@router.get("/escalations/{escalation_id}", auth=may("view"), response=shapes.EscalationFull, summary="Read one")
def get_escalation(request: HttpRequest, escalation_id: str) -> Any:
    """An escalation in full, with what can be decided about it."""
    detail = _detail(escalation_id)
    row = detail.row
    names = [name for name in shapes.EscalationOut.model_fields if name != "claimed_by"]
    return {
        **{name: getattr(row, name) for name in names},
        "claimed_by": row.claimed_by.get_username() if detail.claimed_until and row.claimed_by else None,
        "claimed_until": detail.claimed_until,
        "detail": row.detail,
        "actions": [action.value for action in decisions.actions(detail.snapshot)] if row.state == "open" else [],
        "same_cause": detail.same_cause,
    }


def _detail(escalation_id: str) -> queries.EscalationDetail:
    detail = queries.escalation(escalation_id)
    if detail is None:
        raise EscalationNotFound(f"There is no escalation {escalation_id!r}.")
    return detail


@router.post("/escalations/{escalation_id}/claim", auth=may("operate"), response=shapes.EscalationOut, summary="Claim")
def claim(request: HttpRequest, escalation_id: str) -> Any:
    """Take an escalation for five minutes, or renew one's claim."""
    return claims.claim(escalation_id, caller(request), request)


@router.post("/escalations/{escalation_id}/release", auth=may("operate"), response={204: None}, summary="Give back")
def release(request: HttpRequest, escalation_id: str) -> Any:
    """Give one's claim back."""
    claims.release(escalation_id, caller(request), request)
    return Status(204, None)


@router.post(
    "/escalations/{escalation_id}/resolve",
    auth=may("operate"),
    response={200: shapes.DecisionOut, 202: shapes.DecisionOut},
    summary="Decide",
)
def resolve(request: HttpRequest, escalation_id: str, body: shapes.DecisionIn) -> Any:
    """Decide an escalation, exactly once.

    202 when it is not sent yet: it can still be undone (``hold_s``), somebody else must approve it (``pending``), or
    Redis does not answer; then it is sent by itself.
    """
    version = body.version
    if version is None:
        version = _detail(escalation_id).row.version
    decision = decisions.submit(
        escalation_id,
        version=version,
        action=body.action,
        payload=body.payload,
        user=caller(request),
        comment=body.comment,
        decision_id=body.decision_id,
        fence=body.fence,
        hold_s=body.hold_s,
        request=request,
    )
    if decision.state == "conflict":
        raise DecisionConflict(decision.answer)
    return Status(202 if decision.state in ("submitted", "pending") else 200, decision)


@router.post("/decisions/{decision_id}/undo", auth=may("operate"), response=shapes.DecisionOut, summary="Undo")
def undo(request: HttpRequest, decision_id: UUID) -> Any:
    """Take back one's own decision before it is sent, or before it is approved; 409 when it is too late."""
    return decisions.undo(decision_id, caller(request), request)


@router.get(
    "/escalations/{escalation_id}/comments", auth=may("view"), response=list[shapes.CommentOut], summary="Read comments"
)
def list_comments(request: HttpRequest, escalation_id: str) -> Any:
    """What people wrote to each other, oldest first."""
    return _detail(escalation_id).row.comments.order_by("pk")


@router.post(
    "/escalations/{escalation_id}/comments", auth=may("operate"), response={201: shapes.CommentOut}, summary="Comment"
)
def comment(request: HttpRequest, escalation_id: str, body: shapes.CommentIn) -> Any:
    """Write a comment."""
    return Status(201, comments.add(escalation_id, caller(request), body.text, request))
