"""Bulk actions: the dry run and its form, the confirmation, the live progress, the list of all."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from coordination.errors import BadRequest, DecisionConflict
from dashboard import accounts, bulk, queries
from dashboard.bulk_models import BulkAction, BulkItem
from dashboard.bulk_plan import Drifted, Plan, Selection
from dashboard.models import Escalation
from dashboard.pages import LivePage, Visit, register
from dashboard.roles import operator_required, viewer_required
from dashboard.views.bulk_form import Asked, read
from dashboard.views.posting import post_only

ITEM_STATES = tuple(BulkItem.State)


class Verb(NamedTuple):
    """A bulk action in words."""

    words: str
    hint: str
    icon: str
    danger: bool = False


VERBS = {
    "retry": Verb(gettext_noop("Retry"), gettext_noop("The same input, with a fresh set of attempts."), "refresh"),
    "edit": Verb(
        gettext_noop("Edit and retry"),
        gettext_noop("The fields you name are changed in every input; the rest stays."),
        "edit",
    ),
    "supply": Verb(
        gettext_noop("Supply the result"), gettext_noop("Every step counts as done with the same result."), "send"
    ),
    "skip": Verb(
        gettext_noop("Skip"), gettext_noop("Every step returns the same default, or nothing."), "player-skip-forward"
    ),
    "reroute": Verb(
        gettext_noop("Reroute"),
        gettext_noop("Every step is tried again by another agent, with the same input."),
        "route",
    ),
    "restart": Verb(
        gettext_noop("Restart"),
        gettext_noop("Every workflow begins anew from the step; what came before it is kept."),
        "history",
    ),
    "fail": Verb(gettext_noop("Let fail"), gettext_noop("Every step raises an error in run()."), "circle-x", True),
    "cancel": Verb(gettext_noop("Cancel"), gettext_noop("Running tasks are told, compensations run."), "ban", True),
    "terminate": Verb(
        gettext_noop("Terminate"), gettext_noop("They end at once, and no compensation runs."), "circle-x", True
    ),
    "pause": Verb(gettext_noop("Pause"), gettext_noop("What runs is finished, nothing new begins."), "player-pause"),
    "resume": Verb(gettext_noop("Resume"), gettext_noop("They go on where they were paused."), "player-play"),
    "rerun": Verb(gettext_noop("Run again"), gettext_noop("A new workflow with the same input for each."), "refresh"),
    "accepted": Verb(
        gettext_noop("Accept as is"), gettext_noop("The failure stands, and the ledger says who accepted it."), "check"
    ),
    "duplicate": Verb(
        gettext_noop("Mark as duplicate"), gettext_noop("The ledger names the failure that stands for them."), "copy"
    ),
    "superseded": Verb(
        gettext_noop("Mark as superseded"), gettext_noop("The ledger names what has taken their place."), "arrow-right"
    ),
}


def verb(action: str) -> Verb:
    """The words of an action."""
    found = VERBS.get(action) or Verb(action.capitalize(), "", "bolt")
    return found._replace(words=_(found.words), hint=_(found.hint))


# --- the dry run --------------------------------------------------------------------------


def _preview(request: HttpRequest, asked: Asked, status: int = 200, **more: Any) -> HttpResponse:
    made = bulk.plan(asked.selection, asked.action, asked.payload, request.user) if asked.complete else None
    params = request.POST if request.method == "POST" else request.GET
    context = {
        "asked": asked,
        "verb": verb(asked.action),
        "plan": made,
        "fields": asked.selection.fields(),
        "noun": asked.selection.target.removesuffix("s"),
        "back": _back(asked.selection),
        "payload": None if asked.payload is None else msgspec.json.encode(asked.payload).decode(),
        "patch": params.get("patch", ""),
        "example": bulk.example(asked.selection, request.user) if made is None else None,
        "options": _options(params),
        "canary_helps": bulk.wants_canary(asked.action),
        "bulk_id": params.get("bulk_id") or str(uuid.uuid4()),
        "comment": params.get("comment", ""),
        "confirm": not accounts.is_fresh(request),
        "needs_approval": made is not None and bulk.needs_approval(made),
        "idle_kinds": queries.without_agents({kind for kind, _ in made.again}) if made else set(),
        "call": json.dumps(_call(made, params), indent=2, ensure_ascii=False) if made else "",
        **more,
    }
    response = render(request, "dashboard/bulk_new.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _back(selection: Selection) -> str:
    query = selection.query if not selection.ids else ""
    return f"{reverse(selection.target)}?{query}" if query else reverse(selection.target)


def _options(params: QueryDict) -> dict[str, Any]:
    """How it is carried out; what cannot be read is left at its default."""
    sent = "per_second" in params
    return {
        "canary": "canary" in params if sent else True,
        "per_second": _number(params.get("per_second", ""), bulk.PER_SECOND),
        "most_failing": _number(params.get("most_failing", ""), bulk.MOST_FAILING * 100) / 100,
    }


def _number(text: str, otherwise: float) -> float:
    try:
        value = float(text)
    except ValueError:
        return otherwise
    return value if abs(value) < 1e9 else otherwise


def _call(made: Plan, params: QueryDict) -> dict[str, Any]:
    options = _options(params)
    if not bulk.wants_canary(made.action):
        options["canary"] = False
    return made.call(options)


@operator_required
def new(request: HttpRequest) -> HttpResponse:
    """The dry run: what exactly would be touched, what not and why. A POST only carries what does not fit a link."""
    try:
        asked = read(request)
        return _preview(request, asked, 422 if asked.fault or (asked.form and asked.form.errors) else 200)
    except BadRequest as error:
        messages.error(request, str(error))
        target = request.GET.get("on") or request.POST.get("on", "")
        return redirect(target if target in ("workflows", "escalations") else "bulk")


@post_only("bulk")
@operator_required
def start(request: HttpRequest) -> HttpResponse:
    """Begin it, on exactly what was previewed, after the password when the login is old."""
    try:
        asked = read(request)
    except BadRequest as error:
        messages.error(request, str(error))
        return redirect("bulk")
    try:
        accounts.confirm(request, request.POST.get("password", ""))
        made = bulk.start(
            request.user,
            asked.selection,
            asked.action,
            asked.payload,
            digest=request.POST.get("digest", ""),
            bulk_id=_uuid(request.POST.get("bulk_id", "")),
            comment=request.POST.get("comment", ""),
            request=request,
            **_options(request.POST),
        )
    except Drifted as error:
        # The next confirmation leaves out what comes meanwhile, or a steady stream could never be confirmed.
        now = bulk.plan(asked.selection, asked.action, asked.payload, request.user).at
        pinned = asked._replace(selection=replace(asked.selection, before=now))
        return _preview(request, pinned, 409, fault=str(error), pinned=now)
    except (accounts.ConfirmationNeeded, accounts.LoginRefused, DecisionConflict, BadRequest) as error:
        return _preview(request, asked, 422, fault=str(error))
    return redirect("bulk-action", bulk_id=made.pk)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


# --- progress -----------------------------------------------------------------------------


def _page_number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 1


def _progress(visit: Visit) -> dict[str, Any]:
    progress = queries.bulk_action(str(visit.kwargs["bulk_id"]))
    if progress is None:
        raise Http404(_("There is no such bulk action. Those that are older than the history are deleted."))
    row = progress.row
    wanted = visit.query.get("item", "")
    wanted = wanted if wanted in ITEM_STATES else ""
    page = _page_number(visit.query.get("page", ""))
    items, more = queries.bulk_items(row, wanted, page)
    joint = f"item={wanted}&" if wanted else ""
    return {
        "progress": progress,
        "row": row,
        "verb": verb(row.action),
        "noun": row.target.removesuffix("s"),
        "items": items,
        "notes": _notes(row, items),
        "item_states": [(state, progress.counts.get(state, 0), state == wanted) for state in ITEM_STATES],
        "wanted": wanted,
        "next_href": f"?{joint}page={page + 1}" if more else "",
        "previous_href": f"?{joint}page={page - 1}" if page > 1 else "",
        "settled": not row.is_active and not progress.counts.get(BulkItem.State.SENT),
    }


def _notes(row: BulkAction, items: list[BulkItem]) -> dict[str, str]:
    """What items that were sent wait for, by their object's id."""
    sent = [item.object_id for item in items if item.state == BulkItem.State.SENT]
    if row.target != "escalations" or not sent:
        return {}
    kinds = dict(Escalation.objects.filter(pk__in=sent).values_list("pk", "task_type"))
    idle = queries.without_agents(set(kinds.values()))
    return {pk: _("waiting: no capable agent") for pk, kind in kinds.items() if kind in idle}


PAGE = register(
    "bulk-action",
    LivePage(
        name="bulk-action",
        template="dashboard/bulk.html",
        context=_progress,
        partials=("bulk-progress", "bulk-items"),
        topics=lambda visit: {f"bulk.{visit.kwargs['bulk_id']}"},
        tick_s=2.0,
    ),
)


@require_GET
@viewer_required
def action(request: HttpRequest, bulk_id: uuid.UUID) -> HttpResponse:
    """One bulk action, live."""
    return PAGE.respond(request, bulk_id=bulk_id)


def _all(visit: Visit) -> dict[str, Any]:
    return {"actions": [(one, verb(one.row.action)) for one in queries.bulk_actions()]}


LIST = register(
    "bulk",
    LivePage(
        name="bulk",
        template="dashboard/bulk_list.html",
        context=_all,
        partials=("bulk-all",),
        topics=lambda visit: {"escalations", "workflows"},
        tick_s=5.0,
    ),
)


@require_GET
@viewer_required
def all_actions(request: HttpRequest) -> HttpResponse:
    """The newest bulk actions."""
    return LIST.respond(request)


@post_only("bulk-action", "bulk_id")
@operator_required
def cancel(request: HttpRequest, bulk_id: uuid.UUID) -> HttpResponse:
    """Touch nothing more."""
    try:
        bulk.cancel(request.user, str(bulk_id), request)
    except (bulk.BulkNotFound, DecisionConflict) as error:
        messages.warning(request, str(error))
    return redirect("bulk-action", bulk_id=bulk_id)


@post_only("bulk-action", "bulk_id")
@operator_required
def go_on(request: HttpRequest, bulk_id: uuid.UUID) -> HttpResponse:
    """Go on with what is untouched, with a new canary."""
    try:
        accounts.confirm(request, request.POST.get("password", ""))
        bulk.go_on(request.user, str(bulk_id), request)
    except (accounts.ConfirmationNeeded, accounts.LoginRefused, bulk.BulkNotFound, DecisionConflict) as error:
        messages.warning(request, str(error))
    return redirect("bulk-action", bulk_id=bulk_id)
