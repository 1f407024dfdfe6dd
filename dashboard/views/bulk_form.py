"""What the form of a bulk action holds: what it is done to, which action, and what that needs."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from coordination.domain import Action, EscalationSnapshot
from coordination.errors import BadRequest
from dashboard import bulk, decisions, repair_forms
from dashboard.bulk_plan import Selection
from dashboard.forms import MISSING, SchemaForm

_SCHEMAS = {Action.SUPPLY: "output_schema", Action.SKIP: "output_schema"}


class Asked(NamedTuple):
    """What the form holds."""

    selection: Selection
    action: str
    payload: Any
    complete: bool  # the payload that the action needs is there and has the right shape
    form: SchemaForm | None = None
    fault: str = ""


def read(request: HttpRequest) -> Asked:
    """Read the form of a bulk action.

    Raises:
        BadRequest: It names no action, or selects nothing.
    """
    params = request.POST if request.method == "POST" else request.GET
    selection = Selection.from_params(params)
    action = params.get("action", "")
    if action not in bulk.actions(selection.target):
        raise BadRequest(_("Choose what to do."))
    if "payload" in params:
        return Asked(selection, action, _json(params.get("payload", "")), True)
    if action == Action.EDIT:
        return _edited(selection, params)
    if action in _SCHEMAS:
        return _filled(request, selection, action, params)
    if action in (Action.REROUTE, Action.RESTART):
        return _redirected(request, selection, action, params)
    if action in ("duplicate", "superseded"):
        other = params.get("other_id", "").strip()
        complete = bool(other) or (action == "superseded" and "previewed" in params)
        return Asked(selection, action, {"other_id": other} if complete else None, complete)
    return Asked(selection, action, None, True)


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise BadRequest(_("This is no JSON: %(error)s.") % {"error": error}) from None


def _edited(selection: Selection, params: QueryDict) -> Asked:
    if "patch" not in params:
        return Asked(selection, Action.EDIT, None, False)
    try:
        patch = _json(params.get("patch", ""))
        if not isinstance(patch, dict) or not patch:
            raise BadRequest(_("Name the fields to change as a JSON object, as in the example."))
    except BadRequest as error:
        return Asked(selection, Action.EDIT, None, False, fault=str(error))
    return Asked(selection, Action.EDIT, patch, True)


def _filled(request: HttpRequest, selection: Selection, action: str, params: QueryDict) -> Asked:
    one = bulk.example(selection, request.user)
    schema = one.detail.get(_SCHEMAS[Action(action)]) if one else None
    if "previewed" not in params:
        return Asked(selection, action, None, False, SchemaForm(schema, initial=MISSING))
    data = {name: params.get(name, "") for name in params}
    typed = [text for name, text in data.items() if name.partition(".")[0] == "value" and not name.endswith(".rows")]
    more_rows = params.get("add", "")
    form = SchemaForm(schema, initial=MISSING, data=data, more_rows=more_rows)
    if more_rows:
        form.errors.clear()
        return Asked(selection, action, None, False, form)
    if action == Action.SKIP and not any(text.strip() for text in typed):
        return Asked(selection, action, None, True, form)
    if not form.is_valid():
        return Asked(selection, action, None, False, form, _("Some fields need another look."))
    return Asked(selection, action, form.value(), True, form)


def _redirected(request: HttpRequest, selection: Selection, action: str, params: QueryDict) -> Asked:
    """Where to: with what the oldest one offers."""
    one = bulk.example(selection, request.user)
    if one is None:
        return Asked(selection, action, {}, True)  # the dry run says that nothing is left
    snapshot = msgspec.convert(one.detail, EscalationSnapshot)
    data = params.dict() if "previewed" in params else None
    form = repair_forms.form_for(snapshot, action, data, params.get("add", ""), many=True)
    if form is None or data is None or params.get("add"):
        if form is not None:
            form.errors.clear()
        return Asked(selection, action, None, False, form)
    if not form.is_valid():
        return Asked(selection, action, None, False, form, _("Some fields need another look."))
    payload = repair_forms.read(action, form)
    try:
        if action == Action.REROUTE:
            decisions.validate(snapshot, action, payload)
    except decisions.InvalidDecision as error:
        return Asked(selection, action, None, False, form, str(error))
    return Asked(selection, action, payload, True, form)
