"""Four eyes: what one person asks for, another one approves or refuses; nobody approves their own.

A request ends once: approved, refused, withdrawn by who asked, or expired. What waits for it is changed in the same
transaction by the handler of its kind, so that no crash leaves an approval without its effect.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from coordination.errors import BadRequest, DecisionConflict, GanglionError
from dashboard import audit, live, policy
from dashboard.models import Escalation
from dashboard.notices import asking
from dashboard.redaction import redact, redact_text
from dashboard.roles import allowed
from dashboard.wording import named
from dashboard.work_models import Approval


class ApprovalNotFound(GanglionError):
    """No request for approval has this id."""

    code = "not_found"


class OwnRequest(BadRequest):
    """Nobody approves or refuses their own request. Another approver must look at it."""

    code = "forbidden"


class Handler(NamedTuple):
    """What happens to the things of one kind, within the transaction that ends their request."""

    approved: Callable[[str, str], None]  # subject, name of the approver
    closed: Callable[[str, str], None]  # subject, and refused, expired or withdrawn


_HANDLERS: dict[str, Handler] = {}


def handler(kind: str, *, approved: Callable[[str, str], None], closed: Callable[[str, str], None]) -> None:
    """Say what happens to requests of a kind; once, when the module is imported."""
    _HANDLERS[kind] = Handler(approved, closed)


def _handler_of(kind: str) -> Handler:
    from dashboard import bulk, decisions  # noqa: F401 - they say it, and hosts and agents never need them

    return _HANDLERS[kind]


def request(
    user: Any,
    *,
    kind: str,
    subject: str,
    headline: str,
    detail: dict[str, Any],
    escalation: Escalation | None = None,
    request: HttpRequest | None = None,
) -> Approval:
    """Ask for another person's approval; within the caller's transaction if there is one.

    Args:
        user: Who asks.
        kind: A kind that has a handler.
        subject: The id of what waits.
        headline: What would be done, in words.
        detail: What would be done, in full; kept without secrets.
        escalation: What it is about, if it is about one.
        request: For the audit log.
    """
    made = Approval(
        kind=kind,
        subject=subject,
        escalation=escalation,
        headline=redact_text(headline)[:300],
        detail=redact(detail),
        requested_by=user,
        requester=user.get_username()[:150],
        expires_at=timezone.now() + dt.timedelta(minutes=policy.current().approval_minutes),
    )
    with transaction.atomic():
        made.save(force_insert=True)
        asking.tell(made)
        after = {"approval": str(made.pk), "headline": made.headline, "expires_at": made.expires_at.isoformat()}
        audit.record(user, "approval.request", _target(made), after=after, request=request)
    _tell(made)
    return made


def approve(approval_id: UUID, user: Any, note: str = "", request: HttpRequest | None = None) -> Approval:
    """Let it happen.

    Raises:
        ApprovalNotFound: No request has this id.
        OwnRequest: Of the person who asked.
        DecisionConflict: It has ended already, or has expired.
    """
    return _end(approval_id, "approved", user, request, note)


def refuse(approval_id: UUID, user: Any, note: str = "", request: HttpRequest | None = None) -> Approval:
    """Do not let it happen; raises as ``approve``."""
    return _end(approval_id, "refused", user, request, note)


def withdraw(approval_id: UUID, user: Any, request: HttpRequest | None = None) -> Approval:
    """Take one's own request back.

    Raises:
        ApprovalNotFound: No request of this person has this id.
        DecisionConflict: It has ended already.
    """
    return _end(approval_id, "withdrawn", user, request)


def moot(kind: str, subject: str, user: Any, request: HttpRequest | None = None) -> None:
    """End the request about something that does not wait any more; within the transaction that ends that."""
    for approval in Approval.objects.filter(kind=kind, subject=subject, state="waiting"):
        still = Approval.objects.filter(pk=approval.pk, state="waiting")
        if not still.update(state="withdrawn", decided_at=timezone.now(), decided_by=user.get_username()[:150]):
            continue
        asking.withdraw(approval)
        audit.record(
            user, "approval.withdraw", _target(approval), after={"approval": str(approval.pk)}, request=request
        )
        _tell(approval)


def expire() -> int:
    """End what nobody has looked at in time; returns how many."""
    ended = 0
    for approval in Approval.objects.filter(state="waiting", expires_at__lte=timezone.now())[:500]:
        with transaction.atomic():
            if not Approval.objects.filter(pk=approval.pk, state="waiting").update(
                state="expired", decided_at=timezone.now()
            ):
                continue
            asking.withdraw(approval)
            _handler_of(approval.kind).closed(approval.subject, "expired")
            audit.record("system", "approval.expire", _target(approval), after={"approval": str(approval.pk)})
            ended += 1
        _tell(approval)
    return ended


def waiting() -> QuerySet[Approval]:
    """What can be approved now, oldest first."""
    rows = Approval.objects.filter(state="waiting", expires_at__gt=timezone.now())
    return rows.select_related("escalation").order_by("created_at")


class Asker(NamedTuple):
    """Who has asked for an approval; the name counts too, because an account can be deleted and made again."""

    user_id: int | None
    name: str

    def is_user(self, user: Any) -> bool:
        """Whether this is that person."""
        return bool(self.user_id == user.pk or self.name == user.get_username())


def askers() -> list[Asker]:
    """Who has asked for what can be approved now; one for each request."""
    rows = waiting().select_related(None).order_by()
    return [Asker(*row) for row in rows.values_list("requested_by_id", "requester")]


def count_for(user: Any, found: Iterable[Asker]) -> int:
    """How many of these requests wait for this person, who may approve: all but their own."""
    return sum(not one.is_user(user) for one in found)


def is_own(approval: Approval, user: Any) -> bool:
    """Whether this person has asked for it."""
    return Asker(approval.requested_by_id, approval.requester).is_user(user)


def _end(approval_id: UUID, state: str, user: Any, request: HttpRequest | None, note: str = "") -> Approval:
    with transaction.atomic():
        approval = Approval.objects.select_for_update().filter(pk=approval_id).first()
        own = approval is not None and is_own(approval, user)
        if approval is None or (state == "withdrawn" and not own):
            raise ApprovalNotFound(
                _("There is no request %(approval_id)s for approval.") % {"approval_id": approval_id}
            )
        if state != "withdrawn" and (own or not allowed(user, "approve")):
            raise OwnRequest
        now = timezone.now()
        open_ = Approval.objects.filter(pk=approval_id, state="waiting", expires_at__gt=now)
        if not open_.update(
            state=state, decided_by=user.get_username()[:150], decided_at=now, note=redact_text(note.strip())[:1000]
        ):
            raise DecisionConflict(_ended_words(approval))
        asking.withdraw(approval)
        handler_ = _handler_of(approval.kind)
        if state == "approved":
            handler_.approved(approval.subject, user.get_username())
        else:
            handler_.closed(approval.subject, state)
        what = {"approval": str(approval.pk), "requested_by": approval.requester, "note": note}
        audit.record(user, f"approval.{_VERBS[state]}", _target(approval), after=what, request=request)
    _tell(approval)
    approval.refresh_from_db()
    return approval


_VERBS = {"approved": "approve", "refused": "refuse", "withdrawn": "withdraw"}


def _ended_words(approval: Approval) -> str:
    if approval.state == "waiting":
        return _("This request has expired. Whoever asked can ask again.")
    said = {"state": named(approval.state), "who": approval.decided_by}
    if approval.decided_by:
        return _("This request is already %(state)s by %(who)s.") % said
    return _("This request is already %(state)s.") % said


def _target(approval: Approval) -> tuple[str, str]:
    return ("escalation", approval.escalation_id) if approval.escalation_id else (approval.kind, approval.subject)


def _tell(approval: Approval) -> None:
    topics = [f"escalation.{approval.escalation_id}"] if approval.escalation_id else []
    live.publish_on_commit(*topics, "escalations")
