"""Bulk actions: preview, confirm, go on, cancel. The work itself is done by ``bulk_run``, from SQL alone.

What is confirmed is exactly what was previewed: the digest of the items and their versions must still be true.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from coordination.domain import Action
from coordination.errors import BadRequest, DecisionConflict, GanglionError
from dashboard import approvals, audit, bulk_escalations, bulk_workflows, dispositions, live, policy
from dashboard.bulk_models import BulkAction, BulkItem
from dashboard.bulk_plan import Drifted, Plan, Selection, drift, same
from dashboard.models import Escalation
from dashboard.redaction import redact_json
from dashboard.wording import named, plural

PER_SECOND, MOST_PER_SECOND = 10.0, 50.0
MOST_FAILING = 0.2
_CANARY_MAKES_NO_SENSE = ("cancel", "terminate", "pause", "resume", *dispositions.BY_HAND)
_NEEDS_VALUE = (Action.EDIT, Action.SUPPLY, Action.REROUTE, Action.RESTART)
State = BulkAction.State


class BulkNotFound(GanglionError):
    """No bulk action has this id."""

    code = "not_found"


def actions(target: str) -> tuple[str, ...]:
    """What can be done to many of these."""
    return bulk_escalations.ACTIONS if target == "escalations" else bulk_workflows.ACTIONS


def wants_canary(action: str) -> bool:
    """Whether trying one item first tells anything about the others."""
    return action not in _CANARY_MAKES_NO_SENSE


def plan(selection: Selection, action: str, payload: Any, user: Any) -> Plan:
    """The dry run: what would be touched, what not and why.

    Raises:
        BadRequest: The action does not exist, or too much matches.
    """
    if action == Action.EDIT and payload is not None and not isinstance(payload, dict):
        raise BadRequest(_("An edit names the fields to change: give a JSON object."))
    if action in _NEEDS_VALUE and payload is None:
        return Plan(selection, action, None, [], [])
    module = bulk_escalations if selection.target == "escalations" else bulk_workflows
    found = module.candidates(selection, action, payload, user)
    eligible = [item for item in found if not item.refusal]
    return Plan(selection, action, payload, eligible, [item for item in found if item.refusal])


def needs_approval(made: Plan) -> bool:
    """Whether another person must approve it, by the rules in force."""
    rules = policy.current()
    by_verb = made.selection.target == "escalations" and rules.needs_approval(made.action)
    return by_verb or 0 < rules.bulk_limit < len(made.eligible)


def start(
    user: Any,
    selection: Selection,
    action: str,
    payload: Any = None,
    *,
    digest: str,
    bulk_id: uuid.UUID | None = None,
    comment: str = "",
    canary: bool = True,
    per_second: float = PER_SECOND,
    most_failing: float = MOST_FAILING,
    request: HttpRequest | None = None,
) -> BulkAction:
    """Begin a bulk action on exactly what was previewed; the same id again returns the first one.

    Args:
        user: Who decides; set by the server.
        selection: What it is done to.
        action: One of ``actions``.
        payload: What the action needs: fields to change, a result, a default, or ``{"other_id": …}``.
        digest: Of the plan that was looked at.
        bulk_id: From the form, so that a double click is one bulk action.
        comment: Why, for the audit log.
        canary: Try one item first and wait for its verified outcome.
        per_second: Items a second at most.
        most_failing: Stop when more than this share of what is verified has failed again.
        request: For the audit log.

    Raises:
        Drifted: The items or their versions are no longer those of the digest; says what has changed.
        BadRequest: Nothing is left to do, or a number is out of its range.
    """
    identity = bulk_id or uuid.uuid4()
    earlier = BulkAction.objects.filter(pk=identity).first()
    if earlier is not None:
        if earlier.user_id != user.pk:
            raise DecisionConflict(_("This form belongs to somebody else's bulk action. Reload the page."))
        return earlier
    if not 0.1 <= per_second <= MOST_PER_SECOND:
        raise BadRequest(
            _("The pace is 0.1 to %(most_per_second)s items a second.")
            % {"most_per_second": format(MOST_PER_SECOND, "g")}
        )
    if not 0 <= most_failing <= 1:
        raise BadRequest(_("The share that may fail again is a number from 0 to 1."))
    now = plan(selection, action, payload, user)
    if not same(digest, now.digest):
        raise Drifted(_("%(drift)s Nothing was done. Look at it again, then confirm.") % {"drift": drift(digest, now)})
    if not now.eligible:
        raise BadRequest(_("Nothing is left that this can be done to."))
    asks = needs_approval(now)
    first = State.CANARY if canary and wants_canary(action) else State.RUNNING
    made = BulkAction(
        id=identity, target=selection.target, action=action, label=_label(now), query=selection.query,
        fingerprint=selection.filter.get("cause", "")[:64] if selection.target == "escalations" else "",
        payload="" if payload is None else msgspec.json.encode(payload).decode(),
        comment=comment.strip()[:4000], digest=digest[:100], total=len(now.eligible),
        canary=first == State.CANARY, per_second=per_second, most_failing=most_failing,
        state=State.AWAITING if asks else first,
        user=user, actor=user.get_username()[:150], resumed_at=timezone.now(),
    )  # fmt: skip
    try:
        with transaction.atomic():
            made.save(force_insert=True)
            BulkItem.objects.bulk_create(
                (
                    BulkItem(bulk=made, place=place, object_id=item.id, version=item.version, label=item.label[:300])
                    for place, item in enumerate(now.eligible)
                ),
                batch_size=500,
            )
            audit.record(user, "bulk.start", ("bulk", str(made.pk)), after=_summary(made, now), request=request)
            if asks:
                headline = f"{action.capitalize()} {plural(made.total, selection.target.rstrip('s'))}: {made.label}"
                approvals.request(
                    user, kind="bulk", subject=str(made.pk), headline=headline, detail=_summary(made, now),
                    request=request,
                )  # fmt: skip
    except IntegrityError:  # the same form, sent twice at the same moment
        return BulkAction.objects.get(pk=identity)
    _tell(made)
    return made


def _summary(made: BulkAction, now: Plan) -> dict[str, Any]:
    return {
        "action": made.action, "target": made.target, "items": made.total, "left_out": len(now.refused),
        "filter": made.query, "payload": now.payload, "comment": made.comment, "digest": made.digest,
        "canary": made.canary, "per_second": made.per_second, "most_failing": made.most_failing,
    }  # fmt: skip


def _label(now: Plan) -> str:
    """What it is done to, in words."""
    cause = now.selection.filter.get("cause", "")
    if cause and now.selection.target == "escalations":
        return next((item.label for item in now.eligible), cause)[:300]
    kinds = ", ".join(kind for kind, _ in now.kinds[:3])
    return f"{plural(len(now.eligible), now.selection.target.rstrip('s'))} of {kinds}"[:300]


def get(bulk_id: str) -> BulkAction:
    """One bulk action.

    Raises:
        BulkNotFound: There is none of this id.
    """
    try:
        found = BulkAction.objects.filter(pk=uuid.UUID(str(bulk_id))).first()
    except ValueError:
        found = None
    if found is None:
        raise BulkNotFound(_("There is no bulk action %(bulk_id)s.") % {"bulk_id": repr(bulk_id)})
    return found


def cancel(user: Any, bulk_id: str, request: HttpRequest | None = None) -> BulkAction:
    """Touch nothing more; what was sent already takes its course and is still verified.

    Raises:
        BulkNotFound: There is none of this id.
        DecisionConflict: It has ended already.
    """
    made = get(bulk_id)
    with transaction.atomic():
        why = f"Cancelled by {user.get_username()}."
        approvals.moot("bulk", str(made.pk), user, request)
        alive = BulkAction.objects.filter(pk=made.pk, state__in=(*BulkAction.ACTIVE, State.AWAITING, State.STOPPED))
        if not alive.update(state=State.CANCELLED, why=why, finished_at=timezone.now()):
            raise DecisionConflict(_("This bulk action is already %(state)s.") % {"state": named(made.state)})
        audit.record(user, "bulk.cancel", ("bulk", str(made.pk)), request=request)
    forget_secrets(made)
    _tell(made)
    return get(bulk_id)


def go_on(user: Any, bulk_id: str, request: HttpRequest | None = None) -> BulkAction:
    """Go on with what is untouched, with a new canary first.

    Raises:
        BulkNotFound: There is none of this id.
        DecisionConflict: It has not stopped.
    """
    made = get(bulk_id)
    state = State.CANARY if wants_canary(made.action) else State.RUNNING
    with transaction.atomic():
        stopped = BulkAction.objects.filter(pk=made.pk, state=State.STOPPED)
        if not stopped.update(state=state, why="", user=user, resumed_at=timezone.now(), finished_at=None):
            raise DecisionConflict(
                _("This bulk action is %(state)s; only one that has stopped can go on.") % {"state": named(made.state)}
            )
        audit.record(user, "bulk.resume", ("bulk", str(made.pk)), request=request)
    _tell(made)
    return get(bulk_id)


def forget_secrets(made: BulkAction) -> None:
    """Once nothing more is sent, history keeps the payload without secrets."""
    if made.payload:
        BulkAction.objects.filter(pk=made.pk).update(payload=redact_json(made.payload.encode()).decode())


def _tell(made: BulkAction) -> None:
    live.publish_on_commit(f"bulk.{made.pk}", made.target)


def example(selection: Selection, user: Any) -> Escalation | None:
    """One escalation of a selection, for the form of an edit or a result."""
    return next(iter(bulk_escalations.select(selection, user)), None) if selection.target == "escalations" else None


# --- another person's approval ------------------------------------------------------------------


def _approved(subject: str, approver: str) -> None:
    made = get(subject)
    first = State.CANARY if made.canary else State.RUNNING
    waiting = BulkAction.objects.filter(pk=made.pk, state=State.AWAITING)
    waiting.update(state=first, approved_by=approver[:150], resumed_at=timezone.now())
    _tell(made)


def _closed(subject: str, state: str) -> None:
    made = get(subject)
    why = f"The request for approval was {state}." if state != "expired" else "The request for approval has expired."
    waiting = BulkAction.objects.filter(pk=made.pk, state=State.AWAITING)
    waiting.update(state=State.CANCELLED, why=why, finished_at=timezone.now())
    forget_secrets(made)
    _tell(made)


approvals.handler("bulk", approved=_approved, closed=_closed)
