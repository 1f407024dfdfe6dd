"""Working on an escalation without deciding it: claims, comments, and taking a decision back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from coordination.errors import BadRequest, DecisionConflict, EscalationNotFound
from dashboard import claims, comments, decisions, dispositions, outbox
from dashboard.roles import operator_required
from dashboard.views.escalation import PAGE, detail_of, respond
from dashboard.views.posting import post_only
from dashboard.wording import action_verb


def _shown(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """The part of the page that changed for htmx, the page for everybody else."""
    if request.headers.get("HX-Request"):
        return PAGE.respond(request, escalation_id=escalation_id)
    return redirect("escalation", escalation_id=escalation_id)


@post_only("escalation", "escalation_id")
@operator_required
def claim(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """Take it for a few minutes, so that nobody else starts on it."""
    try:
        claims.claim(escalation_id, request.user, request)
    except (DecisionConflict, EscalationNotFound) as error:
        if not request.headers.get("HX-Request"):
            messages.warning(request, str(error))
    return _shown(request, escalation_id)


@require_POST
@operator_required
def renew(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """Extend the claim that the page works under; 409 when it has ended."""
    fence = request.POST.get("fence", "")
    try:
        until = claims.renew(escalation_id, request.user, int(fence) if fence.isdecimal() and len(fence) < 10 else -1)
    except DecisionConflict as error:
        return JsonResponse({"message": str(error)}, status=409)
    return JsonResponse({"until": until.isoformat()})


@post_only("escalation", "escalation_id")
@operator_required
def release(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """Give one's claim back."""
    claims.release(escalation_id, request.user, request)
    return _shown(request, escalation_id)


@post_only("escalation", "escalation_id")
@operator_required
def comment(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """Write a comment."""
    text = request.POST.get("text", "")
    try:
        comments.add(escalation_id, request.user, text, request)
    except EscalationNotFound as error:
        messages.error(request, str(error))
        return redirect("escalations")
    except BadRequest as error:
        return respond(request, escalation_id, status=422, comment_text=text, comment_fault=str(error))
    response = redirect("escalation", escalation_id=escalation_id)
    response["Location"] += "#comments"
    return response


@post_only("escalation", "escalation_id")
@operator_required
def record_end(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """Record how a failure ends that is over, and of which no machine can tell."""
    said = request.POST
    outcome, other, note = said.get("outcome", ""), said.get("other_id", ""), said.get("note", "")
    row = detail_of(escalation_id).row
    try:
        dispositions.record(request.user, row, outcome, other_id=other, note=note, request=request)
    except BadRequest as error:
        return respond(request, escalation_id, status=422, end_fault=str(error), ended=said)
    messages.success(request, _("The end of this failure is recorded."))
    return redirect("escalation", escalation_id=escalation_id)


@post_only("escalations")
@operator_required
def undo(request: HttpRequest, decision_id: UUID) -> HttpResponse:
    """Take a decision back before it is sent, and go back to its form."""
    try:
        decision = decisions.own(decision_id, request.user)
        undone = decisions.undo(decision_id, request.user, request)
    except EscalationNotFound as error:
        messages.error(request, str(error))
        return redirect("escalations")
    except DecisionConflict as error:
        messages.warning(request, str(error))
    else:
        messages.success(request, _("%(action)s is undone. Nothing was sent.") % {"action": action_verb(undone.action)})
    return redirect("escalation", escalation_id=decision.escalation_id)


@post_only("escalations")
@operator_required
def send_now(request: HttpRequest, decision_id: UUID) -> HttpResponse:
    """Send a decision without waiting for the time to undo it to pass."""
    try:
        sent = outbox.send_now(decisions.own(decision_id, request.user))
    except EscalationNotFound as error:
        messages.error(request, str(error))
        return redirect("escalations")
    if sent.state == "conflict":
        messages.warning(request, sent.answer)
    return redirect("escalation", escalation_id=sent.escalation_id)
