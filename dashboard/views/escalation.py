"""One escalation: what failed, the form that repairs it, the evidence, and what came of the decision."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET

from coordination.domain import Action, EscalationSnapshot, Reason
from coordination.errors import DecisionConflict, EscalationNotFound, ServerUnavailable
from dashboard import decisions, queries
from dashboard.forms import MISSING, SchemaForm
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import EscalationDetail, EscalationFilter
from dashboard.roles import operator_required, viewer_required
from dashboard.views.posting import post_only

QUESTIONS = (Reason.HUMAN_INPUT_REQUESTED, Reason.APPROVAL_REQUIRED)
PARTS = ("input", "errors")


class Choice(NamedTuple):
    """An action with its words."""

    action: str
    words: str  # of the tab
    button: str
    hint: str
    icon: str


_CHOICES = {
    Action.RETRY: Choice("retry", "Retry", "Retry", "The same input, with a fresh set of attempts.", "refresh"),
    Action.EDIT: Choice(
        "edit",
        "Edit input and retry",
        "Save and retry",
        "The step runs again with what you enter here; the original input stays in the journal.",
        "edit",
    ),
    Action.SUPPLY: Choice(
        "supply",
        "Supply the result",
        "Supply this result",
        "The step counts as done, and the workflow goes on with what you enter here.",
        "send",
    ),
    Action.SKIP: Choice(
        "skip",
        "Skip",
        "Skip the step",
        "The step returns this default, or nothing, and the workflow goes on.",
        "player-skip-forward",
    ),
    Action.FAIL: Choice(
        "fail",
        "Let it fail",
        "Let the step fail",
        "The step raises an error in run(): the workflow handles it, or fails and compensates.",
        "circle-x",
    ),
}
_ANSWER = Choice("supply", "Answer", "Send the answer", "The workflow goes on with your answer.", "send")
_REFUSE = Choice(
    "fail", "Refuse to answer", "Refuse", "The question fails in run(): the workflow handles it, or fails.", "circle-x"
)


def _choices(snapshot: EscalationSnapshot) -> list[Choice]:
    if snapshot.reason in QUESTIONS:
        return [_ANSWER, _REFUSE]
    return [_CHOICES[action] for action in decisions.actions(snapshot)]


def _first_choice(snapshot: EscalationSnapshot) -> str:
    """The action that most likely solves it: an answer, another input after a final error, else a retry."""
    if snapshot.reason in QUESTIONS:
        return "supply"
    return "edit" if snapshot.reason is Reason.FINAL_ERROR and snapshot.input is not None else "retry"


def _form(
    snapshot: EscalationSnapshot, action: str, data: Mapping[str, Any] | None = None, more_rows: str = ""
) -> SchemaForm | None:
    if action == "edit":
        return SchemaForm(snapshot.input_schema, initial=snapshot.input, data=data, more_rows=more_rows)
    if action in ("supply", "skip"):
        return SchemaForm(snapshot.output_schema, initial=MISSING, data=data, more_rows=more_rows)
    return None


def _detail(escalation_id: str) -> EscalationDetail:
    detail = queries.escalation(escalation_id)
    if detail is None:
        raise Http404(
            f"There is no escalation {escalation_id!r}. It may be so new that the history does not know it yet."
        )
    return detail


def _context(visit: Visit) -> dict[str, Any]:
    detail = _detail(visit.kwargs["escalation_id"])
    row = detail.row
    queue = queries.escalations(EscalationFilter(), limit=30)
    return {
        "detail": detail,
        "row": row,
        "snapshot": detail.snapshot,
        "last_error": detail.snapshot.errors[-1] if detail.snapshot.errors else None,
        "earlier_errors": detail.snapshot.errors[:-1],
        "decision": detail.decisions[0] if detail.decisions else None,
        "holder": row.claimed_by if detail.claimed_until else None,
        "queue": queue.rows,
        "queue_total": queue.total,
        "step_kind": "question" if detail.snapshot.reason in QUESTIONS else "step",
    }


PAGE = register(
    "escalation",
    LivePage(
        name="escalation",
        template="dashboard/escalation.html",
        context=_context,
        partials=("esc-status", "esc-queue"),
        topics=lambda visit: {f"escalation.{visit.kwargs['escalation_id']}", "escalations"},
        tick_s=5.0,
    ),
)


def _respond(
    request: HttpRequest,
    escalation_id: str,
    action: str = "",
    form: SchemaForm | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    snapshot = _detail(escalation_id).snapshot
    choices = _choices(snapshot)
    wanted = action or request.GET.get("action", "")
    wanted = wanted if wanted in {choice.action for choice in choices} else _first_choice(snapshot)
    context = {
        "choices": choices,
        "choice": next(choice for choice in choices if choice.action == wanted),
        "form": form if form is not None else _form(snapshot, wanted),
        "decision_id": str(uuid.uuid4()),
        "comment": request.POST.get("comment", ""),
        **more,
    }
    response = PAGE.respond(request, context, escalation_id=escalation_id)
    response.status_code = status
    return response


@require_GET
@viewer_required
def escalation(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """The page of one escalation."""
    return _respond(request, escalation_id)


@require_GET
@viewer_required
def download(request: HttpRequest, escalation_id: str, part: str) -> HttpResponse:
    """The step's input or its errors as a JSON file."""
    snapshot = _detail(escalation_id).snapshot
    if part not in PARTS:
        raise Http404(f"There is no {part} of an escalation.")
    data = msgspec.json.format(msgspec.json.encode(getattr(snapshot, part)), indent=2)
    response = HttpResponse(data, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{part}.json"'
    response["Cache-Control"] = "no-store"
    return response


@post_only("escalation", "escalation_id")
@operator_required
def claim(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """Take it for a few minutes, so that nobody else starts on it."""
    try:
        decisions.claim(escalation_id, request.user, request)
    except (DecisionConflict, EscalationNotFound) as error:
        messages.warning(request, str(error))
    return redirect("escalation", escalation_id=escalation_id)


@post_only("escalation", "escalation_id")
@operator_required
def release(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """Give one's claim back."""
    decisions.release(escalation_id, request.user, request)
    return redirect("escalation", escalation_id=escalation_id)


def _decision_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.uuid4()


def _is_blank(data: Mapping[str, str]) -> bool:
    """Whether nothing was filled into the schema's fields: a step may be skipped without a default."""
    fields = {name: text for name, text in data.items() if name.partition(".")[0] == "value"}
    return not any(text.strip() for name, text in fields.items() if not name.endswith(".rows"))


@post_only("escalation", "escalation_id")
@operator_required
def resolve(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """Take the decision that the form holds; what does not fit is said at its field, nothing typed is lost."""
    snapshot = _detail(escalation_id).snapshot
    action = request.POST.get("action", "")
    if action not in {choice.action for choice in _choices(snapshot)}:
        messages.error(request, "Choose what to do.")
        return redirect("escalation", escalation_id=escalation_id)
    more_rows = request.POST.get("add", "")
    data = {name: request.POST.get(name, "") for name in request.POST}
    form = _form(snapshot, action, data, more_rows)
    if form is not None and more_rows:
        form.errors.clear()
        return _respond(request, escalation_id, action, form)
    payload: Any = None
    if form is not None and not (action == Action.SKIP and _is_blank(data)):
        if not form.is_valid():
            return _respond(request, escalation_id, action, form, 422, fault="Some fields need another look.")
        payload = form.value()
    version = request.POST.get("version", "")
    try:
        decision = decisions.submit(
            escalation_id,
            version=int(version) if version.isdecimal() else snapshot.version,
            action=action,
            payload=payload,
            user=request.user,
            comment=request.POST.get("comment", ""),
            decision_id=_decision_id(request.POST.get("decision_id", "")),
            request=request,
        )
    except decisions.InvalidDecision as error:
        left = form.place_errors(error.fields) if form is not None else []
        fault = " ".join(left) or "Some fields need another look." if error.fields else str(error)
        return _respond(request, escalation_id, action, form, 422, fault=fault)
    except (DecisionConflict, EscalationNotFound) as error:
        fault = f"{error} Your decision was not taken; what you typed is still here."
        return _respond(request, escalation_id, action, form, 409, fault=fault, typed=payload)
    except ServerUnavailable:
        fault = "Redis does not answer, and this escalation cannot be checked without it. Try again in a moment."
        return _respond(request, escalation_id, action, form, 503, fault=fault)
    if decision.state == "conflict":
        fault = f"{decision.answer} Your decision was not taken; what you typed is still here."
        return _respond(request, escalation_id, action, form, 409, fault=fault, typed=payload)
    if request.POST.get("then") == "next":
        following = _detail(escalation_id).next_id
        if following:
            when = timezone.localtime(decision.created_at)
            messages.success(request, f"Decided at {when:%H:%M:%S}: {decision.action}. Here is the next one.")
            return redirect("escalation", escalation_id=following)
    return redirect("escalation", escalation_id=escalation_id)
