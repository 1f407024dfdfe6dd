"""Sends decisions to Redis under their ids until Redis has answered; what was undone in time is never sent.

Sending begins by one conditional update that undoing excludes, so that a decision is either sent or undone, whichever
process tries. A decision that waits for its time is sent by the web process that took it, and by a job when that
process has died: both may try, because Redis takes a decision once.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from typing import Any
from uuid import UUID

import msgspec
from django.db import DatabaseError, connections, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from coordination import client as core
from coordination.domain import Action
from coordination.errors import (
    DecisionConflict,
    GanglionError,
    ServerUnavailable,
    TryAgain,
)
from dashboard import audit, live, mirror
from dashboard.models import Decision
from dashboard.redaction import redact_json
from dashboard.work_models import Draft

logger = logging.getLogger(__name__)
PATIENCE = dt.timedelta(seconds=2)  # the job leaves this long to whoever took the decision


def send(decision: Decision) -> Decision:
    """Send a decision whose time has come; repeatable, because Redis knows it by its id."""
    if decision.sent_at is None:
        now = timezone.now()
        waiting = Decision.objects.filter(pk=decision.pk, state="submitted", sent_at=None, due_at__lte=now)
        if not waiting.update(sent_at=now):
            decision.refresh_from_db()
            if decision.state != "submitted" or decision.sent_at is None:
                return decision
    payload = msgspec.json.decode(decision.payload) if decision.payload else None
    try:
        core.sync().commands.decide(
            decision.escalation_id,
            version=decision.version,
            action=Action(decision.action),
            actor=decision.actor,
            decision_id=str(decision.pk),
            value=payload,
        )
    except TryAgain as error:
        return _answered(decision, "submitted", f"{error} It will be sent again by itself.")
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
        decision.payload = values["payload"] = without_secrets(decision.payload)
    Decision.objects.filter(pk=decision.pk, state="submitted").update(**values)
    if state == "accepted" and decision.user_id is not None:
        Draft.objects.filter(escalation_id=decision.escalation_id, user_id=decision.user_id).delete()
    return decision


def without_secrets(payload: str) -> str:
    """A payload for history; only the outbox needs it as it was."""
    return redact_json(payload.encode()).decode() if payload else ""


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
    """Send every decision that is due and has no answer; returns how many are answered now."""
    waiting = Decision.objects.filter(state="submitted", due_at__lte=timezone.now() - PATIENCE)
    answered = 0
    for decision in waiting.order_by("created_at")[:limit]:
        if send(decision).state == "submitted":
            break  # Redis is away: the others would wait just the same
        answered += 1
    return answered


def send_later(decision: Decision) -> None:
    """Send a decision when its time comes, as long as this process lives."""
    wait_s = max(0.0, (decision.due_at - timezone.now()).total_seconds()) + 0.05
    timer = threading.Timer(wait_s, _send_due, [decision.pk])
    timer.name, timer.daemon = f"decision {decision.pk}", True
    timer.start()


def send_now(decision: Decision) -> Decision:
    """Send a decision before its time has come."""
    waiting = Decision.objects.filter(pk=decision.pk, state="submitted", sent_at=None)
    waiting.update(due_at=timezone.now())
    decision.refresh_from_db()
    return send(decision) if decision.state == "submitted" else decision


def _send_due(decision_id: UUID) -> None:
    try:
        decision = Decision.objects.filter(pk=decision_id, state="submitted").first()
        if decision is not None:
            send(decision)
    except DatabaseError as error:  # the job sends it
        logger.warning("decision %s was left to the job: %s", decision_id, error)
    finally:
        connections.close_all()


def undo(decision: Decision, user: Any, request: HttpRequest | None = None) -> Decision:
    """Take a decision back before it was sent: nothing of it ever reaches Redis.

    Raises:
        DecisionConflict: It has been sent, or it has ended in another way.
    """
    with transaction.atomic():
        waiting = Decision.objects.filter(pk=decision.pk, state="submitted", sent_at=None)
        values = {"state": "undone", "answered_at": timezone.now(), "payload": without_secrets(decision.payload)}
        if not waiting.update(**values):
            decision.refresh_from_db()
            if decision.state == "undone":
                return decision
            raise DecisionConflict(_("It is too late to undo this: it has been sent."))
        what = {"decision": str(decision.pk), "action": decision.action}
        target = ("escalation", decision.escalation_id)
        audit.record(user, "escalation.undo", target, before=what, request=request)
    live.publish_on_commit(f"escalation.{decision.escalation_id}", "escalations")
    decision.refresh_from_db()
    return decision
