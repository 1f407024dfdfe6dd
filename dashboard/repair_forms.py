"""The form that repairs an escalation: what can be done, in words, and the fields that each action needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from coordination import client as core
from coordination.domain import Action, EscalationSnapshot, Reason
from coordination.errors import GanglionError
from dashboard import decisions
from dashboard.forms import MISSING, SchemaForm
from dashboard.work_models import Draft


class Choice(NamedTuple):
    """An action with its words."""

    action: str
    words: str  # of the tab
    button: str
    hint: str
    icon: str
    key: str = ""  # on the keyboard


_CHOICES = {
    Action.RETRY: Choice(
        "retry",
        gettext_noop("Retry"),
        gettext_noop("Retry"),
        gettext_noop("The same input, with a fresh set of attempts."),
        "refresh",
        "r",
    ),
    Action.EDIT: Choice(
        "edit",
        gettext_noop("Edit input"),
        gettext_noop("Save and retry"),
        gettext_noop("The step runs again with what you enter here; the original input stays in the journal."),
        "edit",
        "e",
    ),
    Action.SUPPLY: Choice(
        "supply",
        gettext_noop("Supply the result"),
        gettext_noop("Supply this result"),
        gettext_noop("The step counts as done, and the workflow goes on with what you enter here."),
        "send",
        "s",
    ),
    Action.SKIP: Choice(
        "skip",
        gettext_noop("Skip"),
        gettext_noop("Skip the step"),
        gettext_noop("The step returns this default, or nothing, and the workflow goes on."),
        "player-skip-forward",
    ),
    Action.REROUTE: Choice(
        "reroute",
        gettext_noop("Reroute"),
        gettext_noop("Send it there"),
        gettext_noop("The step is tried again by another agent: one that you name, or any that has what you require."),
        "route",
    ),
    Action.RESTART: Choice(
        "restart",
        gettext_noop("Restart"),
        gettext_noop("Restart from there"),
        gettext_noop(
            "The workflow forgets this step and everything asked for after it, and runs them again. What those steps"
            " have done outside, they may do again."
        ),
        "history",
    ),
    Action.FAIL: Choice(
        "fail",
        gettext_noop("Let it fail"),
        gettext_noop("Let the step fail"),
        gettext_noop("The step raises an error in run(): the workflow handles it, or fails and compensates."),
        "circle-x",
    ),
}
_ANSWERS = {
    Action.SUPPLY: Choice(
        "supply",
        gettext_noop("Answer"),
        gettext_noop("Send the answer"),
        gettext_noop("The workflow goes on with your answer."),
        "send",
        "s",
    ),
    Action.SKIP: Choice(
        "skip",
        gettext_noop("Skip the question"),
        gettext_noop("Skip the question"),
        gettext_noop("run() gets this default, or nothing, in place of an answer."),
        "player-skip-forward",
    ),
    Action.FAIL: Choice(
        "fail",
        gettext_noop("Refuse to answer"),
        gettext_noop("Refuse"),
        gettext_noop("The question fails in run(): the workflow handles it, or fails."),
        "circle-x",
    ),
}


def is_question(snapshot: EscalationSnapshot) -> bool:
    """Whether a workflow asks people, rather than that a step has failed."""
    return snapshot.reason in decisions.QUESTIONS


def choices(snapshot: EscalationSnapshot) -> list[Choice]:
    """What can be done about an escalation, in words, the most usual first."""
    words = _ANSWERS if is_question(snapshot) else _CHOICES
    found = [words[action] for action in decisions.actions(snapshot)]
    return [one._replace(words=_(one.words), button=_(one.button), hint=_(one.hint)) for one in found]


def first_choice(snapshot: EscalationSnapshot) -> str:
    """The action that most likely solves it: an answer, another input after a final error, else a retry."""
    if is_question(snapshot):
        return "supply"
    return "edit" if snapshot.reason is Reason.FINAL_ERROR and snapshot.input is not None else "retry"


def form_for(
    snapshot: EscalationSnapshot,
    action: str,
    data: Mapping[str, Any] | None = None,
    more_rows: str = "",
    *,
    many: bool = False,
) -> SchemaForm | None:
    """The fields of an action, on one escalation or on many like it; nothing for one that needs none."""
    start: Any = MISSING
    match action:
        case "edit":
            schema, start = snapshot.input_schema, snapshot.input
        case "supply" | "skip":
            schema = snapshot.output_schema
        case "reroute":
            schema = _reroute_schema(snapshot)
        case "restart" if many:
            schema = _restart_schema(snapshot, own=_("the one that failed, in each"))
        case "restart":
            schema, start = _restart_schema(snapshot), {"step": snapshot.step}
        case _:
            return None
    return SchemaForm(schema, initial=start, data=data, more_rows=more_rows)


def draft_form(snapshot: EscalationSnapshot, draft: Draft) -> SchemaForm | None:
    """The form with what a draft holds, and no complaints yet."""
    form = form_for(snapshot, draft.action, dict(draft.fields))
    if form is not None:
        form.errors.clear()
    return form


def read(action: str, form: SchemaForm) -> Any:
    """What a valid form says, as the payload of a decision."""
    value = form.value() or {} if action == Action.REROUTE else form.value()
    if action == Action.REROUTE:
        pairs = [pair for pair in value.get("requires", ()) if pair.get("capability")]
        if value.get("agent"):
            return {"agent": value["agent"]}
        return {"requires": {pair["capability"]: pair.get("value", "") for pair in pairs}}
    return value


def is_blank_skip(action: str, data: Mapping[str, str]) -> bool:
    """Whether a step is skipped without a default: nothing was filled into the fields."""
    if action != Action.SKIP:
        return False
    fields = {name: text for name, text in data.items() if name.partition(".")[0] == "value"}
    return not any(text.strip() for name, text in fields.items() if not name.endswith(".rows"))


def _reroute_schema(snapshot: EscalationSnapshot) -> dict[str, Any]:
    try:
        agents = core.sync().inspect.agents()
    except GanglionError:
        agents = []
    able = [agent for agent in agents if snapshot.task_type in agent.types]
    names = sorted({agent.name for agent in able if agent.alive and not agent.draining})
    words = _("Live agents that take this type of task.") if names else _("No live agent takes this type of task now.")
    offered = sorted({name for agent in able for name in agent.capabilities.get(snapshot.task_type, {})})
    hint = _("No agent has declared any capability.")
    if offered:
        hint = _("Known capabilities: %(names)s.") % {"names": ", ".join(offered)}
    return {
        "type": "object",
        "properties": {
            "agent": {"title": _("Agent"), "enum": [*names, None], "description": words},
            "requires": {
                "title": _("Or any agent with"),
                "type": "array",
                "description": hint,
                "items": {
                    "type": "object",
                    "properties": {
                        "capability": {"title": _("Capability"), "type": "string"},
                        "value": {"title": _("Value"), "type": "string"},
                    },
                },
            },
        },
    }


def _restart_schema(snapshot: EscalationSnapshot, own: str = "") -> dict[str, Any]:
    """The steps that the workflow has asked for up to this one; with ``own`` none need be chosen."""
    try:
        steps = core.sync().inspect.steps(snapshot.workflow_id)
    except GanglionError:
        steps = []
    known = [view.id for view in steps] or [snapshot.step]
    hint = _("It and all later ones run again.")
    if own:
        hint = _("%(hint)s Empty: %(own)s.") % {"hint": hint, "own": own}
    return {
        "type": "object",
        "required": [] if own else ["step"],
        "properties": {"step": {"title": _("From step"), "enum": known, "description": hint}},
    }
