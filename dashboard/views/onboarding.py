"""An agent that speaks A2A joins: card, what it would change, a call that is answered, activation."""

from __future__ import annotations

from typing import Any

import msgspec
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from coordination.errors import GanglionError
from dashboard import accounts, onboarding
from dashboard.roles import admin_required


def _number(text: str, what: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise ValueError(_("%(what)s: %(text)s is no number.") % {"what": what, "text": repr(text[:40])}) from None


def _payload(text: str) -> Any:
    """JSON, or the text itself when it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _read(request: HttpRequest) -> dict[str, Any]:
    said = request.POST
    accounts.confirm(request, said.get("password", ""))
    at_once = _number(said.get("concurrency", ""), _("At once"))
    proposal = onboarding.propose(
        request.user,
        said.get("url", ""),
        name=said.get("name", ""),
        concurrency=int(at_once) if at_once else None,
        timeout_s=_number(said.get("timeout_s", ""), _("Time limit")),
    )
    return {"proposal": proposal}


def _try(request: HttpRequest) -> dict[str, Any]:
    draft, task_type = request.POST.get("draft", ""), request.POST.get("task_type", "")
    text = request.POST.get("input", "")
    try:
        tried = onboarding.attempt(request.user, draft, task_type, _payload(text), request)
    except onboarding.CardFault as error:
        return {"proposal": onboarding.reopen(request.user, draft), "try_fault": str(error), "task_type": task_type}
    return {"proposal": tried.proposal, "tried": tried, "task_type": task_type}


@require_http_methods(["GET", "POST"])
@admin_required
@sensitive_post_parameters("password", "input")
def onboard(request: HttpRequest) -> HttpResponse:
    """Each step is a form of its own; what came before travels in the signed draft."""
    context: dict[str, Any] = {"said": {name: request.POST.get(name, "") for name in request.POST}}
    status = 200
    if request.method == "POST":
        try:
            if "activate" in request.POST:
                accounts.confirm(request, request.POST.get("password", ""))
                remote = onboarding.activate(request.user, request.POST.get("draft", ""), request)
                messages.success(
                    request,
                    _("%(remote)s is active. A gateway worker runs its tasks from now on.") % {"remote": remote.name},
                )
                return redirect("agents")
            context |= _try(request) if "draft" in request.POST else _read(request)
        except (GanglionError, ValueError) as error:
            context["fault"] = str(error)
        status = 422 if "fault" in context or "try_fault" in context else 200
    context["confirm"] = not accounts.is_fresh(request)
    response = render(request, "dashboard/agent_onboard.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response
