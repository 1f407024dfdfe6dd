"""One escalation: what failed, the form that repairs it, the evidence, and what came of the decision."""

from __future__ import annotations

import functools
import uuid
from typing import Any

import msgspec
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from coordination.domain import EscalationSnapshot
from coordination.errors import DecisionConflict, EscalationNotFound, ServerUnavailable
from dashboard import decisions, differences, dispositions, drafts, policy, presence, queries, repair_forms
from dashboard.forms import SchemaForm
from dashboard.models import Decision
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import EscalationDetail, EscalationFilter
from dashboard.queries.escalation_history import history
from dashboard.retelling import retold
from dashboard.roles import operator_required, viewer_required
from dashboard.views.posting import post_only
from dashboard.wording import action_verb
from dashboard.work_models import Approval

PARTS = ("input", "errors")
KEPT = gettext_noop("Your decision was not taken; what you typed is still here.")


def detail_of(escalation_id: str) -> EscalationDetail:
    """The escalation in full.

    Raises:
        Http404: The history does not know it.
    """
    detail = queries.escalation(escalation_id)
    if detail is None:
        raise Http404(
            _("There is no escalation %(escalation_id)s. It may be so new that the history does not know it yet.")
            % {"escalation_id": repr(escalation_id)}
        )
    return detail


def _context(visit: Visit) -> dict[str, Any]:
    detail = detail_of(visit.kwargs["escalation_id"])
    row, reader = detail.row, visit.user_id
    queue = queries.escalations(EscalationFilter(), limit=30)
    return {
        "detail": detail,
        "row": row,
        "snapshot": detail.snapshot,
        "last_error": detail.snapshot.errors[-1] if detail.snapshot.errors else None,
        "earlier_errors": detail.snapshot.errors[:-1],
        "decision": detail.decisions[0] if detail.decisions else None,
        "holder": row.claimed_by if detail.claimed_until else None,
        "mine": bool(detail.claimed_until) and row.claimed_by_id == reader,
        "lapsed": not detail.claimed_until and row.claimed_by_id == reader,
        "end": queries.disposition_of(row),
        "may_end": "operate" in visit.verbs and not dispositions.refusal(row),
        "clock": queries.clocks([row.fingerprint]).get(row.fingerprint) if row.state == "open" else None,
        "queue": queue.rows,
        "queue_total": queue.total,
        "others": [one for one in presence.people(row.pk) if one.user_id != reader],
        "comments": list(row.comments.order_by("pk")[:500]),
        "history": history(row),
        "step_kind": "question" if repair_forms.is_question(detail.snapshot) else "step",
        **_waiting(detail, visit),
    }


def _waiting(detail: EscalationDetail, visit: Visit) -> dict[str, Any]:
    """The decision that has not been sent yet, if there is one, and what this reader may do about it."""
    found = next((one for one in detail.decisions if one.state == "pending" or _is_held(one)), None)
    if found is None or detail.row.state != "open":
        return {"waiting_decision": None}
    approval = Approval.objects.filter(kind="decision", subject=str(found.pk), state="waiting").first()
    own = found.user_id == visit.user_id
    return {
        "waiting_decision": found,
        "waiting_mine": own,
        "approval": approval,
        "may_approve": approval is not None and "approve" in visit.verbs and not own,
        "asked": asked_lines(approval) if approval is not None else [],
    }


def asked_lines(approval: Approval) -> tuple[differences.Line, ...]:
    """What an approval would send, against what is there."""
    return _asked_lines(approval.pk, translation.get_language())


@functools.lru_cache(256)
def _asked_lines(approval_id: uuid.UUID, language: str | None) -> tuple[differences.Line, ...]:
    """Of a request, which never changes: all who may approve have it open, and it is rendered again and again."""
    detail = Approval.objects.values_list("detail", flat=True).get(pk=approval_id)
    return tuple(differences.of_decision(detail.get("input"), detail))


def _is_held(decision: Decision) -> bool:
    return decision.state == "submitted" and decision.sent_at is None


PAGE = register(
    "escalation",
    LivePage(
        name="escalation",
        template="dashboard/escalation.html",
        context=_context,
        partials=("esc-status", "esc-queue", "esc-people", "esc-comments", "esc-history"),
        topics=lambda visit: {f"escalation.{visit.kwargs['escalation_id']}", "escalations"},
        tick_s=5.0,
        personal=True,
        shared="escalation_id",
    ),
)


def respond(
    request: HttpRequest,
    escalation_id: str,
    action: str = "",
    form: SchemaForm | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    """The page with the form of an action: as given, as this person's draft left it, or new."""
    snapshot = detail_of(escalation_id).snapshot
    choices = repair_forms.choices(snapshot)
    draft = None
    wanted = action or request.GET.get("action", "")
    if form is None and not action:
        draft = drafts.load(request.user, escalation_id)
        if draft is not None and (draft.action != wanted if wanted else draft.action not in _names(snapshot)):
            draft = None
    wanted = wanted or (draft.action if draft else "")
    wanted = wanted if wanted in _names(snapshot) else repair_forms.first_choice(snapshot)
    if form is None:
        form = repair_forms.draft_form(snapshot, draft) if draft else repair_forms.form_for(snapshot, wanted)
    asks = not repair_forms.is_question(snapshot) and policy.current().needs_approval(wanted)
    context = {
        "choices": choices,
        "choice": next(choice for choice in choices if choice.action == wanted),
        "form": form,
        "draft": draft,
        "decision_id": str(uuid.uuid4()),
        "comment": request.POST.get("comment", draft.fields.get("comment", "") if draft else ""),
        "needs_approval": asks,
        "ends": [(one, dispositions.Outcome(one).label) for one in dispositions.BY_HAND],
        **more,
    }
    response = PAGE.respond(request, context, escalation_id=escalation_id)
    response.status_code = status
    return response


def _names(snapshot: EscalationSnapshot) -> set[str]:
    return {choice.action for choice in repair_forms.choices(snapshot)}


@require_GET
@viewer_required
def escalation(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """The page of one escalation."""
    return respond(request, escalation_id)


@require_GET
@viewer_required
def download(request: HttpRequest, escalation_id: str, part: str) -> HttpResponse:
    """The step's input or its errors as a JSON file."""
    snapshot = detail_of(escalation_id).snapshot
    if part not in PARTS:
        raise Http404(_("There is no %(part)s of an escalation.") % {"part": part})
    data = msgspec.json.format(msgspec.json.encode(getattr(snapshot, part)), indent=2)
    response = HttpResponse(data, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{part}.json"'
    response["Cache-Control"] = "no-store"
    return response


def _changed(snapshot: EscalationSnapshot, action: str, form: SchemaForm | None) -> list[differences.Line]:
    """What a form would change, as far as it can be read."""
    if form is None or action not in ("edit", "supply") or not form.is_valid():
        return []
    return differences.lines(snapshot.input if action == "edit" else None, form.value())


@post_only("escalation", "escalation_id")
@operator_required
def draft(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """Keep what is typed, and answer with what it would change."""
    snapshot = detail_of(escalation_id).snapshot
    action = request.POST.get("action", "")
    if action not in _names(snapshot):
        raise Http404(_("There is no such action."))
    data = request.POST.dict()
    if not drafts.save(request.user, escalation_id, action, data):
        return HttpResponse(_("This escalation is no longer open."), status=409, content_type="text/plain")
    changed = _changed(snapshot, action, repair_forms.form_for(snapshot, action, data))
    html = render_to_string("dashboard/escalation_diff.html", {"changed": changed}) if changed else ""
    response = HttpResponse(f"<h3>{_('What changes')}</h3>{html}" if html else "")
    response["Cache-Control"] = "no-store"
    return response


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.uuid4()


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None


@post_only("escalation", "escalation_id")
@operator_required
def resolve(request: HttpRequest, escalation_id: str) -> HttpResponse:
    """Take the decision that the form holds; what does not fit is said at its field, nothing typed is lost."""
    snapshot = detail_of(escalation_id).snapshot
    action, data = request.POST.get("action", ""), request.POST.dict()
    if action not in _names(snapshot):
        messages.error(request, _("Choose what to do."))
        return redirect("escalation", escalation_id=escalation_id)
    if "discard" in data:
        drafts.discard(request.user, escalation_id)
        return respond(request, escalation_id, action, repair_forms.form_for(snapshot, action), comment="")
    more_rows = data.get("add", "")
    form = repair_forms.form_for(snapshot, action, data, more_rows)
    if form is not None and (more_rows or "compare" in data):
        changed = [] if more_rows else _changed(snapshot, action, form)
        form.errors.clear()
        return respond(request, escalation_id, action, form, changed=changed)
    drafts.save(request.user, escalation_id, action, data)
    payload: Any = None
    if form is not None and not repair_forms.is_blank_skip(action, data):
        if not form.is_valid():
            return respond(request, escalation_id, action, form, 422, fault=_("Some fields need another look."))
        payload = repair_forms.read(action, form)
    version = _number(data.get("version", ""))

    def refused(why: str) -> HttpResponse:
        fault = f"{retold(why)} {_(KEPT)}"
        return respond(request, escalation_id, action, form, 409, fault=fault, typed=payload)

    try:
        decision = decisions.submit(
            escalation_id,
            version=snapshot.version if version is None else version,
            action=action,
            payload=payload,
            user=request.user,
            comment=data.get("comment", ""),
            decision_id=_uuid(data.get("decision_id", "")),
            fence=_number(data.get("fence", "")),
            hold_s=policy.current().undo_s,
            request=request,
        )
    except decisions.InvalidDecision as error:
        left = form.place_errors(error.fields) if form is not None else []
        fault = " ".join(left) or _("Some fields need another look.") if error.fields else str(error)
        return respond(request, escalation_id, action, form, 422, fault=fault)
    except (DecisionConflict, EscalationNotFound) as error:
        return refused(str(error))
    except ServerUnavailable:
        fault = _("Redis does not answer, and this escalation cannot be checked without it. Try again in a moment.")
        return respond(request, escalation_id, action, form, 503, fault=fault)
    if decision.state == "conflict":
        return refused(decision.answer)
    return _onwards(request, decision)


def _onwards(request: HttpRequest, decision: Decision) -> HttpResponse:
    """To the next escalation when that was asked for, else to what came of the decision."""
    here = decision.escalation_id
    following = detail_of(here).next_id if request.POST.get("then") == "next" else ""
    if decision.state == "pending":
        messages.info(
            request,
            _("%(action)s: somebody else must approve this before it is sent.")
            % {"action": action_verb(decision.action)},
        )
    elif following and decision.state == "accepted":
        messages.success(
            request, _("Sent: %(action)s. Here is the next one.") % {"action": action_verb(decision.action)}
        )
    return redirect("escalation", escalation_id=following or here)
