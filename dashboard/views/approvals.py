"""What waits for a second person, and what that person says."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from coordination.errors import BadRequest, DecisionConflict
from dashboard import approvals, policy
from dashboard.pages import LivePage, Visit, register
from dashboard.roles import approver_required, operator_required, viewer_required
from dashboard.views.escalation import asked_lines
from dashboard.views.posting import post_only
from dashboard.work_models import Approval

SHOWN = 200


def _context(visit: Visit) -> dict[str, Any]:
    rows = [
        {"approval": one, "mine": one.requested_by_id == visit.user_id, "changed": asked_lines(one)}
        for one in approvals.waiting()[:SHOWN]
    ]
    may = "approve" in visit.verbs
    return {
        "yours": [row for row in rows if may and not row["mine"]],
        "others": [row for row in rows if not may or row["mine"]],
        "ended": Approval.objects.exclude(state="waiting").order_by("-decided_at")[:20],
        "rules": policy.current(),
    }


PAGE = register(
    "approvals",
    LivePage(
        name="approvals",
        template="dashboard/approvals.html",
        context=_context,
        partials=("ap-list",),
        topics=lambda visit: {"escalations"},
        personal=True,
    ),
)


@require_GET
@viewer_required
def show(request: HttpRequest) -> HttpResponse:
    """The list of what waits."""
    return PAGE.respond(request)


def _back(request: HttpRequest, approval: Approval | None) -> HttpResponse:
    if approval is not None and approval.escalation_id and "/escalations/" in request.headers.get("Referer", ""):
        return redirect("escalation", escalation_id=approval.escalation_id)
    return redirect("approvals")


@post_only("approvals")
@approver_required
def approve(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Let it happen."""
    ended = None
    try:
        ended = approvals.approve(approval_id, request.user, request.POST.get("note", ""), request)
    except (approvals.ApprovalNotFound, BadRequest, DecisionConflict) as error:
        messages.warning(request, str(error))
    else:
        messages.success(request, _("Approved: %(headline)s") % {"headline": ended.headline})
    return _back(request, ended)


@post_only("approvals")
@approver_required
def refuse(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Do not let it happen."""
    ended = None
    try:
        ended = approvals.refuse(approval_id, request.user, request.POST.get("note", ""), request)
    except (approvals.ApprovalNotFound, BadRequest, DecisionConflict) as error:
        messages.warning(request, str(error))
    else:
        messages.info(request, _("Not approved: %(headline)s") % {"headline": ended.headline})
    return _back(request, ended)


@post_only("approvals")
@operator_required
def withdraw(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Take one's own request back."""
    ended = None
    try:
        ended = approvals.withdraw(approval_id, request.user, request)
    except (approvals.ApprovalNotFound, DecisionConflict) as error:
        messages.warning(request, str(error))
    return _back(request, ended)
