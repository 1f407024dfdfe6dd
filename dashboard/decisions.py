"""People's decisions on escalations: written down first, then sent under their id until Redis has answered.

Redis decides, once: a decision that was sent twice has one effect, and of two people's decisions one wins
and the other is told so. The row here is the outbox; ``resend`` finishes what a crash left.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.http import HttpRequest
from django.utils import timezone

from coordination import client as core
from coordination.domain import Action, EscalationSnapshot, Reason
from coordination.errors import (
    BadRequest,
    DecisionConflict,
    EscalationNotFound,
    GanglionError,
    ServerUnavailable,
    TryAgain,
)
from dashboard import audit, live, mirror, schemas
from dashboard.models import Decision, Escalation
from dashboard.redaction import has_gaps, redact_json, restore

CLAIM = dt.timedelta(minutes=5)
_QUESTIONS = (Reason.HUMAN_INPUT_REQUESTED, Reason.APPROVAL_REQUIRED)
_BROKEN = (Reason.WORKFLOW_CODE_CHANGED, Reason.COORDINATOR_CRASHED)


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
    if snapshot.reason in _QUESTIONS:
        return [Action.SUPPLY, Action.SKIP, Action.FAIL]
    if snapshot.reason in _BROKEN:
        return [Action.RETRY, Action.FAIL]
    return [Action.RETRY, Action.EDIT, Action.SUPPLY, Action.SKIP, Action.FAIL]


def validate(snapshot: EscalationSnapshot, action: str, payload: Any) -> Any:
    """The payload that this action needs (``None`` when it needs none).

    Raises:
        InvalidDecision: The action does not fit the escalation, or the payload its schema; with the fields.
    """
    possible = actions(snapshot)
    if action not in possible:
        words = ", ".join(possible)
        raise InvalidDecision(f"{action!r} cannot be decided about this escalation. Use one of: {words}.")
    if action in (Action.RETRY, Action.FAIL):
        return None
    if action == Action.SKIP and payload is None:
        return None
    schema = snapshot.input_schema if action == Action.EDIT else snapshot.output_schema
    found = schemas.problems(payload, schema)
    if found:
        what = "input" if action == Action.EDIT else "answer" if snapshot.reason in _QUESTIONS else "result"
        first = next(iter(found.items()))
        where = f"{first[0]}: " if first[0] else ""
        raise InvalidDecision(f"The {what} does not have the declared shape. {where}{first[1][0]}", found)
    return payload


def submit(
    escalation_id: str,
    *,
    version: int,
    action: str,
    payload: Any = None,
    user: Any,
    comment: str = "",
    decision_id: uuid.UUID | None = None,
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
        request: For the audit log.

    Returns:
        The decision; ``state`` is ``accepted``, ``conflict``, or still ``submitted`` when Redis does not answer
        (then it is sent again by itself).

    Raises:
        EscalationNotFound: No escalation has this id.
        InvalidDecision: Action or payload do not fit.
        DecisionConflict: It is decided already, has changed, or somebody else has claimed it.
    """
    row = Escalation.objects.select_related("claimed_by").filter(pk=escalation_id).first() or _fetch(escalation_id)
    identity = decision_id or _same(escalation_id, action, payload, user)
    earlier = _earlier(row, identity)
    if earlier is not None:
        return send(earlier) if earlier.state == "submitted" else earlier
    _refuse_late(row, version, user)
    whole = _with_secrets(escalation_id, action, payload)
    value = validate(msgspec.convert(row.detail, EscalationSnapshot), action, whole)
    now = timezone.now()
    decision = Decision(
        id=identity,
        escalation=row,
        version=version,
        action=action,
        payload="" if value is None else msgspec.json.encode(value).decode(),
        actor=user.get_username()[:150],
        comment=comment.strip()[:4000],
        due_at=now,
    )
    after = {"action": action, "payload": value, "comment": decision.comment, "decision": str(decision.pk)}
    before = {"state": row.state, "version": version, "reason": row.reason, "headline": row.headline}
    try:
        with transaction.atomic():
            decision.save(force_insert=True)
            target = ("escalation", escalation_id)
            audit.record(user, "escalation.resolve", target, before=before, after=after, request=request)
    except IntegrityError:  # the same form, sent twice at the same moment
        earlier = Decision.objects.get(pk=decision.pk)
        return send(earlier) if earlier.state == "submitted" else earlier
    return send(decision)


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
        raise EscalationNotFound(f"There is no escalation {escalation_id!r}.")
    mirror.escalations([snapshot])
    return Escalation.objects.get(pk=escalation_id)


def _same(escalation_id: str, action: str, payload: Any, user: Any) -> uuid.UUID:
    """The id of a decision whose sender gave none: what is sent twice is one, for an escalation has only one."""
    parts = [escalation_id, action, payload, user.get_username()]
    return uuid.uuid5(uuid.NAMESPACE_OID, msgspec.json.encode(parts, order="sorted").decode())


def _earlier(row: Escalation, decision_id: uuid.UUID) -> Decision | None:
    found = Decision.objects.filter(pk=decision_id).first()
    if found is not None and found.escalation_id != row.pk:
        raise DecisionConflict("This form belongs to another escalation. Reload the page.")
    return found


def _refuse_late(row: Escalation, version: int, user: Any) -> None:
    if row.state != "open":
        by = f" by {row.resolved_by}" if row.resolved_by else ""
        raise DecisionConflict(f"This escalation is already {row.state}{by}.")
    if row.version != version:
        raise DecisionConflict("This escalation has changed since you opened it. Look at it again, then decide.")
    holder = row.claimed_by
    if holder is not None and holder.pk != user.pk and row.claimed_until and row.claimed_until > timezone.now():
        raise DecisionConflict(f"{holder.get_username()} has claimed this escalation.")


def send(decision: Decision) -> Decision:
    """Send a decision to Redis; repeatable, because Redis knows it by its id."""
    payload = msgspec.json.decode(decision.payload) if decision.payload else None
    client = core.sync()
    try:
        client.commands.decide(
            decision.escalation_id,
            version=decision.version,
            action=Action(decision.action),
            actor=decision.actor,
            decision_id=str(decision.pk),
            value=payload,
        )
    except TryAgain as error:
        return _answered(decision, "submitted", f"{error} It will be sent again by itself.")
    except (DecisionConflict, EscalationNotFound) as error:
        answered = _answered(decision, "conflict", str(error))
    except GanglionError as error:
        answered = _answered(decision, "conflict", str(error))
    else:
        answered = _answered(decision, "accepted", "")
    _catch_up(decision.escalation_id)
    return answered


def _answered(decision: Decision, state: str, answer: str) -> Decision:
    decision.state, decision.answer = state, answer[:300]
    values: dict[str, Any] = {"state": state, "answer": decision.answer}
    if state != "submitted":
        decision.answered_at = values["answered_at"] = timezone.now()
        # The outbox needed the payload as it was; history keeps it without secrets.
        decision.payload = values["payload"] = (
            redact_json(decision.payload.encode()).decode() if decision.payload else ""
        )
    Decision.objects.filter(pk=decision.pk, state="submitted").update(**values)
    return decision


def _catch_up(escalation_id: str) -> None:
    """Show the person the outcome at once, before the relay comes to it."""
    try:
        snapshot = core.sync().inspect.escalation(escalation_id)
    except ServerUnavailable:
        return
    if snapshot is not None:
        mirror.escalations([snapshot])
    live.publish_on_commit(f"escalation.{escalation_id}", "escalations", "overview")


def resend(limit: int = 200) -> int:
    """Send every decision again that Redis has not answered; returns how many are answered now."""
    waiting = Decision.objects.filter(state="submitted", due_at__lte=timezone.now() - dt.timedelta(seconds=2))
    answered = 0
    for decision in waiting.order_by("created_at")[:limit]:
        if send(decision).state == "submitted":
            break  # Redis is away: the others would wait just the same
        answered += 1
    return answered


# --- claims ---------------------------------------------------------------------------------


def claim(escalation_id: str, user: Any, request: HttpRequest | None = None) -> Escalation:
    """Take an open escalation for a few minutes, or renew one's own claim; of two people one wins.

    Raises:
        EscalationNotFound: No escalation has this id.
        DecisionConflict: Somebody else holds it, or it is decided already.
    """
    now = timezone.now()
    free = Q(claimed_by=None) | Q(claimed_until__lte=now) | Q(claimed_by_id=user.pk)
    with transaction.atomic():
        held = Escalation.objects.filter(pk=escalation_id, claimed_by_id=user.pk, claimed_until__gt=now).exists()
        won = Escalation.objects.filter(free, pk=escalation_id, state="open").update(
            claimed_by_id=user.pk, claimed_until=now + CLAIM
        )
        if won and not held:
            audit.record(user, "escalation.claim", ("escalation", escalation_id), request=request)
    row = Escalation.objects.select_related("claimed_by").filter(pk=escalation_id).first()
    if row is None:
        raise EscalationNotFound(f"There is no escalation {escalation_id!r}.")
    if not won:
        if row.state != "open":
            raise DecisionConflict(f"This escalation is already {row.state}.")
        raise DecisionConflict(f"{row.claimed_by} has claimed this escalation.")
    live.publish_on_commit(f"escalation.{escalation_id}", "escalations")
    return row


def release(escalation_id: str, user: Any, request: HttpRequest | None = None) -> bool:
    """Give one's own claim back; says whether there was one."""
    with transaction.atomic():
        mine = Escalation.objects.filter(pk=escalation_id, claimed_by_id=user.pk)
        gave = bool(mine.filter(claimed_until__gt=F("opened_at")).update(claimed_by=None, claimed_until=None))
        if gave:
            audit.record(user, "escalation.release", ("escalation", escalation_id), request=request)
    live.publish_on_commit(f"escalation.{escalation_id}", "escalations")
    return gave
