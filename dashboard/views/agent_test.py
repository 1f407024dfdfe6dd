"""One task sent to the agents of a type, or to one of them, and what comes back."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from coordination.domain import AgentView, AttemptView
from coordination.errors import GanglionError
from dashboard import operations, queries
from dashboard.forms import SchemaForm
from dashboard.pages import LivePage, Visit, register
from dashboard.roles import operator_required

TYPE = "agent_test_call"


def _context(visit: Visit) -> dict[str, Any]:
    """What became of the call that the address names."""
    task_type, sent = visit.kwargs["task_type"], visit.query.get("sent", "")[:64]
    context: dict[str, Any] = {"task_type": task_type, "sent": sent, "settled": not sent}
    if not sent:
        return context
    detail = queries.workflow(sent, with_journal=False)
    if detail is None or detail.row.type != TYPE:
        raise Http404(_("There is no test call %(sent)s.") % {"sent": repr(sent)})
    step = detail.steps[0] if detail.steps else None
    attempt = step.attempts[-1] if step and step.attempts else AttemptView(1)
    ended = attempt.finished_ms or (step.finished_ms if step else 0)
    return {
        **context,
        "step": step,
        "attempt": attempt,
        "agent": _named(attempt.agent),
        "elsewhere": bool(attempt.agent and visit.query.get("agent") not in (None, "", attempt.agent)),
        "error": attempt.error or (step.error if step else None) or detail.error,
        "waited_ms": attempt.started_ms - attempt.queued_ms if attempt.started_ms else 0,
        "ended": ended,
        "took_ms": ended - attempt.started_ms if attempt.started_ms else 0,
        "settled": detail.row.finished_at is not None,
    }


def _named(instance: str) -> AgentView | None:
    return next((one for one in queries.live().agents if one.id == instance), None) if instance else None


PAGE = register(
    "agent-type-test",
    LivePage(
        name="test call",
        template="dashboard/test_call.html",
        context=_context,
        partials=("tc-outcome",),
        topics=lambda visit: {f"workflow.{visit.query['sent'][:64]}"} if visit.query.get("sent") else set(),
        tick_s=1.0,
        verb="operate",
    ),
)


def _schema(agents: list[AgentView], task_type: str) -> dict[str, Any]:
    for one in agents:
        found = one.schemas.get(task_type, {}).get("input")
        if found:
            return dict(found)
    return {}


@require_http_methods(["GET", "POST"])
@operator_required
def test_call(request: HttpRequest, task_type: str) -> HttpResponse:
    """The form, and beside it what came of the call that was sent last."""
    able = [one for one in queries.live().agents if task_type in one.types and one.alive]
    chosen = (request.POST if request.method == "POST" else request.GET).get("agent", "")
    more_rows = request.POST.get("add", "")
    data = {name: request.POST.get(name, "") for name in request.POST} if request.method == "POST" else None
    form = SchemaForm(_schema(able, task_type), name="payload", data=data, more_rows=more_rows)
    fault = ""
    if request.method == "POST" and more_rows:
        form.errors.clear()
    elif request.method == "POST":
        fault = _("Some fields need another look.")
        if chosen and not any(one.id == chosen and not one.draining for one in able):
            fault = _("%(chosen)s takes no tasks of this type now. Choose another instance, or any.") % {
                "chosen": chosen
            }
        elif form.is_valid():
            call = {"task_type": task_type, "payload": form.value(), "agent": chosen}
            try:
                sent = operations.submit(request.user, TYPE, call, labels={"test of": task_type}, request=request)
                query = urlencode({"sent": sent, **({"agent": chosen} if chosen else {})})
                return redirect(f"{reverse('agent-type-test', args=[task_type])}?{query}")
            except GanglionError as error:
                fault = str(error)
    more = {"form": form, "fault": fault, "able": able, "chosen": chosen}
    response = PAGE.respond(request, more, task_type=task_type)
    response.status_code = 422 if fault else 200
    return response
