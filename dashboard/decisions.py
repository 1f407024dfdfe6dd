"""People's decisions on escalations: checked and written down; the outbox sends them under their id.

Redis decides, once: a decision that was sent twice has one effect, and of two people's decisions one wins
and the other is told so. A decision may have to wait first: for another person's approval, or for the few
seconds in which it can be undone.
"""

from __future__ import annotations

import datetime as dt
import uuid
from functools import partial
from typing import Any

import msgspec
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from coordination import client as core
from coordination.domain import Action, EscalationSnapshot, Reason
from coordination.errors import BadRequest, DecisionConflict, EscalationNotFound
from dashboard import approvals, audit, claims, live, mirror, outbox, policy, schemas
from dashboard.models import Decision, Escalation
from dashboard.redaction import has_gaps, hidden, redact, restore
from dashboard.wording import action_verb, named
from dashboard.work_models import Approval

MOST_HIDDEN = 50  # secrets that are named where a decision is looked at
WITHOUT_EFFECT = ("undone", "refused", "expired")
QUESTIONS = (Reason.HUMAN_INPUT_REQUESTED, Reason.APPROVAL_REQUIRED)
_BROKEN = (Reason.WORKFLOW_CODE_CHANGED, Reason.COORDINATOR_CRASHED)


_OWN_SHAPES: dict[Action, dict[str, Any]] = {
    Action.REROUTE: {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {
            "agent": {"type": "string", "minLength": 1, "maxLength": 120},
            "requires": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 20,
                "additionalProperties": {"type": "string", "minLength": 1},
            },
        },
    },
    Action.RESTART: {
        "type": "object",
        "required": ["step"],
        "additionalProperties": False,
        "properties": {"step": {"type": "string", "minLength": 1, "maxLength": 80}},
    },
}
_SHAPE_WORDS = {
    Action.REROUTE: gettext_noop("Name an agent, or at least one capability with its value."),
    Action.RESTART: gettext_noop("Name the step to restart from."),
}


class InvalidDecision(BadRequest):
    """The decision cannot be taken as it is.

    Attributes:
        fields: Dotted path of a field of the payload to messages; ``""`` is the payload as a whole.
    """

    code = "invalid_decision"

    def __init__(self, message: str, fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.fields = fields or {}


def actions(snapshot: EscalationSnapshot) -> list[Action]:
    """What can be decided about an escalation, the most usual first."""
    if snapshot.reason in QUESTIONS:
        return [Action.SUPPLY, Action.SKIP, Action.FAIL]
    if snapshot.reason in _BROKEN:
        return [Action.RETRY, Action.FAIL]
    return [Action.RETRY, Action.EDIT, Action.SUPPLY, Action.SKIP, Action.REROUTE, Action.RESTART, Action.FAIL]


def validate(snapshot: EscalationSnapshot, action: str, payload: Any) -> Any:
    """The payload that this action needs (``None`` when it needs none).

    Raises:
        InvalidDecision: The action does not fit the escalation, or the payload its schema; with the fields.
    """
    possible = actions(snapshot)
    if action not in possible:
        words = ", ".join(possible)
        raise InvalidDecision(
            _("%(action)s cannot be decided about this escalation. Use one of: %(words)s.")
            % {"action": repr(action), "words": words}
        )
    if action in (Action.RETRY, Action.FAIL):
        return None
    if action == Action.SKIP and payload is None:
        return None
    if action in _OWN_SHAPES:
        found = schemas.problems(payload, _OWN_SHAPES[Action(action)])
        if found:
            raise InvalidDecision(_(_SHAPE_WORDS[Action(action)]), found)
        return payload
    schema = snapshot.input_schema if action == Action.EDIT else snapshot.output_schema
    found = schemas.problems(payload, schema)
    if found:
        field, said = next(iter(found.items()))
        words = _wrong_shape(snapshot, action) % {"fault": f"{field}: {said[0]}" if field else said[0]}
        raise InvalidDecision(words, found)
    return payload


def _verb_for_all(action: str) -> str:
    """An action's words as they are stored: in English, whoever asks."""
    with translation.override("en"):
        return action_verb(action)


def _wrong_shape(snapshot: EscalationSnapshot, action: str) -> str:
    if action == Action.EDIT:
        return _("The input does not have the declared shape. %(fault)s")
    if snapshot.reason in QUESTIONS:
        return _("The answer does not have the declared shape. %(fault)s")
    return _("The result does not have the declared shape. %(fault)s")


def submit(
    escalation_id: str,
    *,
    version: int,
    action: str,
    payload: Any = None,
    user: Any,
    comment: str = "",
    decision_id: uuid.UUID | None = None,
    fence: int | None = None,
    hold_s: float = 0.0,
    approved_by: str = "",
    request: HttpRequest | None = None,
) -> Decision:
    """Decide an escalation exactly once; submitting the same again returns the first decision.

    Args:
        escalation_id: Which one.
        version: The version that the person saw.
        action: One of ``actions``.
        payload: JSON: the new input, the result, or the default; nothing otherwise.
        user: Who decides; set by the server, never by the request.
        comment: Why, for the audit log.
        decision_id: From the form, so that a double click is one decision.
        fence: The number of the claim that the form was opened under; see ``claims``.
        hold_s: So long it can be undone before it is sent.
        approved_by: Who approved the bulk action that this is a part of.
        request: For the audit log.

    Returns:
        The decision; ``state`` is ``accepted``, ``conflict``, ``pending`` when somebody else must approve it, or
        still ``submitted`` when it can be undone or Redis does not answer (then it is sent by itself).

    Raises:
        EscalationNotFound: No escalation has this id.
        InvalidDecision: Action or payload do not fit.
        DecisionConflict: It is decided already, has changed, or somebody else has claimed it.
    """
    row = Escalation.objects.filter(pk=escalation_id).first() or _fetch(escalation_id)
    identity = decision_id or _same(escalation_id, action, payload, user)
    earlier = _earlier(row, identity)
    if earlier is not None:
        return outbox.send(earlier) if earlier.state == "submitted" else earlier
    whole = _with_secrets(escalation_id, action, payload)
    snapshot = msgspec.convert(row.detail, EscalationSnapshot)
    _refuse_late(row, version)
    value = validate(snapshot, action, whole)
    asks = not approved_by and snapshot.reason not in QUESTIONS and policy.current().needs_approval(action)
    decision = Decision(
        id=identity,
        escalation=row,
        version=version,
        action=action,
        payload="" if value is None else msgspec.json.encode(value).decode(),
        actor=user.get_username()[:150],
        user=user,
        comment=comment.strip()[:4000],
        state="pending" if asks else "submitted",
        approved_by=approved_by[:150],
        due_at=timezone.now() + dt.timedelta(seconds=0 if asks else hold_s),
    )
    secrets = _named(hidden(payload))  # as it came: what it left as it was shown is not given anew
    with transaction.atomic():
        locked = Escalation.objects.select_related("claimed_by").select_for_update(of=("self",)).get(pk=row.pk)
        earlier = _earlier(row, identity)  # the same form, sent twice at the same moment
        if earlier is None:
            _refuse_late(locked, version)
            claims.refuse_fenced(locked, user, fence)
            _refuse_second(locked)
            decision.save(force_insert=True)
            _record(decision, snapshot, value, secrets, request)
            if asks:
                _ask(decision, snapshot, value, secrets, request)
    if earlier is not None:
        return outbox.send(earlier) if earlier.state == "submitted" else earlier
    live.publish_on_commit(f"escalation.{escalation_id}", "escalations")
    if decision.state == "submitted" and hold_s <= 0:
        return outbox.send(decision)
    if decision.state == "submitted":
        outbox.send_later(decision)
    return decision


def _record(
    decision: Decision, snapshot: EscalationSnapshot, value: Any, secrets: dict[str, Any], request: HttpRequest | None
) -> None:
    """Write down what was there and what was decided."""
    before = {"state": snapshot.state, "version": decision.version, "reason": snapshot.reason}
    if decision.action == Action.EDIT:
        before["input"] = snapshot.input
    after = {
        "action": decision.action,
        "payload": value,
        **secrets,
        "comment": decision.comment,
        "decision": str(decision.pk),
        "state": decision.state,
    }
    target = ("escalation", decision.escalation_id)
    audit.record(decision.actor, "escalation.resolve", target, before=before, after=after, request=request)


def _named(places: list[str]) -> dict[str, Any]:
    return {"hidden": places[:MOST_HIDDEN], "hidden_more": max(0, len(places) - MOST_HIDDEN)}


def _ask(
    decision: Decision, snapshot: EscalationSnapshot, value: Any, secrets: dict[str, Any], request: HttpRequest | None
) -> None:
    row = decision.escalation
    detail = {"action": decision.action, "payload": value, **secrets, "comment": decision.comment}
    if decision.action == Action.EDIT:
        detail["input"] = snapshot.input
    approvals.request(
        decision.user,
        kind="decision",
        subject=str(decision.pk),
        headline=f"{_verb_for_all(decision.action)}: {row.headline}",
        detail=redact(detail),
        escalation=row,
        request=request,
    )


def _approved(subject: str, approver: str) -> None:
    """Let an approved decision be sent, once its transaction has ended."""
    now = timezone.now()
    waiting = Decision.objects.filter(pk=subject, state="pending")
    if waiting.update(state="submitted", approved_by=approver[:150], due_at=now):
        transaction.on_commit(partial(_send, subject), robust=True)


def _send(subject: str) -> None:
    outbox.send(Decision.objects.get(pk=subject))


def _closed(subject: str, state: str) -> None:
    """End a decision that was not approved."""
    words = {"refused": "refused", "expired": "expired"}.get(state, "undone")
    for decision in Decision.objects.filter(pk=subject, state="pending"):
        payload = outbox.without_secrets(decision.payload)
        Decision.objects.filter(pk=subject, state="pending").update(
            state=words, answered_at=timezone.now(), payload=payload
        )


approvals.handler("decision", approved=_approved, closed=_closed)


def own(decision_id: uuid.UUID, user: Any) -> Decision:
    """A decision of this person.

    Raises:
        EscalationNotFound: No decision of this person has this id.
    """
    decision = Decision.objects.filter(pk=decision_id, user_id=user.pk).first()
    if decision is None:
        raise EscalationNotFound(_("There is no such decision of yours."))
    return decision


def undo(decision_id: uuid.UUID, user: Any, request: HttpRequest | None = None) -> Decision:
    """Take back one's own decision that was not sent yet; nothing of it reaches Redis.

    Raises:
        EscalationNotFound: No decision of this person has this id.
        DecisionConflict: It has been sent already, or has ended.
    """
    decision = own(decision_id, user)
    if decision.state == "pending":
        approvals.withdraw(Approval.objects.get(kind="decision", subject=str(decision.pk)).pk, user, request)
        decision.refresh_from_db()
        return decision
    return outbox.undo(decision, user, request)


def undoable(user: Any) -> list[Decision]:
    """This person's decisions that are about to be sent, the newest first."""
    rows = Decision.objects.filter(state="submitted", sent_at=None, user_id=user.pk, due_at__gt=timezone.now())
    return list(rows.select_related("escalation").order_by("-created_at")[:20])


def _with_secrets(escalation_id: str, action: str, payload: Any) -> Any:
    """An edited input with the secrets that its form did not show; whoever edits never sees them."""
    if action != Action.EDIT or not has_gaps(payload):
        return payload
    snapshot = core.sync().inspect.escalation(escalation_id)
    return payload if snapshot is None else restore(payload, snapshot.input)


def _fetch(escalation_id: str) -> Escalation:
    """An escalation that no relay has mirrored yet."""
    snapshot = core.sync().inspect.escalation(escalation_id)
    if snapshot is None:
        raise EscalationNotFound(
            _("There is no escalation %(escalation_id)s.") % {"escalation_id": repr(escalation_id)}
        )
    mirror.escalations([snapshot])
    return Escalation.objects.get(pk=escalation_id)


def _same(escalation_id: str, action: str, payload: Any, user: Any) -> uuid.UUID:
    """The id of a decision whose sender gave none: what is sent twice is one, unless the first had no effect."""
    ended = Decision.objects.filter(escalation_id=escalation_id, state__in=WITHOUT_EFFECT).count()
    parts = [escalation_id, action, payload, user.get_username(), *([ended] if ended else [])]
    return uuid.uuid5(uuid.NAMESPACE_OID, msgspec.json.encode(parts, order="sorted").decode())


def _earlier(row: Escalation, decision_id: uuid.UUID) -> Decision | None:
    found = Decision.objects.filter(pk=decision_id).first()
    if found is not None and found.escalation_id != row.pk:
        raise DecisionConflict(_("This form belongs to another escalation. Reload the page."))
    return found


def _refuse_late(row: Escalation, version: int) -> None:
    if row.state != "open":
        said = {"state": named(row.state), "who": row.resolved_by}
        if row.resolved_by:
            raise DecisionConflict(_("This escalation is already %(state)s by %(who)s.") % said)
        raise DecisionConflict(_("This escalation is already %(state)s.") % said)
    if row.version != version:
        raise DecisionConflict(_("This escalation has changed since you opened it. Look at it again, then decide."))


def _refuse_second(row: Escalation) -> None:
    """Refuse a decision while another one is on its way."""
    other = row.decisions.filter(state__in=("pending", "submitted")).first()
    if other is not None:
        said = {"who": other.actor, "action": action_verb(other.action)}
        if other.state == "pending":
            raise DecisionConflict(_("%(who)s has already decided this (%(action)s); it waits for approval.") % said)
        raise DecisionConflict(_("%(who)s has already decided this (%(action)s); it is about to be sent.") % said)
