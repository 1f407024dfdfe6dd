"""Approvals over the API: what waits for a second person, and what that person says."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from dashboard import approvals
from dashboard.api import shapes
from dashboard.api.auth import caller, may

router = Router(tags=["approvals"])


@router.get("/approvals", auth=may("view"), response=list[shapes.ApprovalOut], summary="List what waits")
def list_approvals(request: HttpRequest) -> Any:
    """Everything that waits for approval now, oldest first; at most 500."""
    return approvals.waiting()[:500]


@router.post("/approvals/{approval_id}/approve", auth=may("approve"), response=shapes.ApprovalOut, summary="Approve")
def approve(request: HttpRequest, approval_id: UUID, body: shapes.Note) -> Any:
    """Let it happen; 403 for one's own request, 409 when it has ended."""
    return approvals.approve(approval_id, caller(request), body.note, request)


@router.post("/approvals/{approval_id}/refuse", auth=may("approve"), response=shapes.ApprovalOut, summary="Refuse")
def refuse(request: HttpRequest, approval_id: UUID, body: shapes.Note) -> Any:
    """Do not let it happen."""
    return approvals.refuse(approval_id, caller(request), body.note, request)
