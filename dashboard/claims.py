"""Claims on escalations: leases that are renewed while somebody works, each with a number that only grows.

Whoever decides names the number (the fence) that the form was opened under. A form whose claim has ended, or which was
overtaken by somebody else's claim, decides nothing any more.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from coordination.errors import DecisionConflict, EscalationNotFound
from dashboard import audit, live
from dashboard.models import Escalation
from dashboard.notices.models import Incident
from dashboard.wording import named

LEASE = dt.timedelta(minutes=5)


def claim(escalation_id: str, user: Any, request: HttpRequest | None = None) -> Escalation:
    """Take an open escalation for a few minutes, or renew one's own claim; of two people one wins.

    Raises:
        EscalationNotFound: No escalation has this id.
        DecisionConflict: Somebody else holds it, or it is decided already.
    """
    now = timezone.now()
    rows = Escalation.objects.filter(pk=escalation_id, state="open")
    with transaction.atomic():
        won = rows.filter(claimed_by_id=user.pk, claimed_until__gt=now).update(claimed_until=now + LEASE)
        if not won:
            free = Q(claimed_by=None) | Q(claimed_until__lte=now)
            won = rows.filter(free).update(
                claimed_by_id=user.pk, claimed_until=now + LEASE, claim_fence=F("claim_fence") + 1
            )
            if won:
                _look(escalation_id, user, now)
                audit.record(user, "escalation.claim", ("escalation", escalation_id), request=request)
    row = Escalation.objects.select_related("claimed_by").filter(pk=escalation_id).first()
    if row is None:
        raise EscalationNotFound(
            _("There is no escalation %(escalation_id)s.") % {"escalation_id": repr(escalation_id)}
        )
    if not won:
        if row.state != "open":
            raise DecisionConflict(_("This escalation is already %(state)s.") % {"state": named(row.state)})
        raise DecisionConflict(_("%(claimed_by)s has claimed this escalation.") % {"claimed_by": row.claimed_by})
    live.publish_on_commit(f"escalation.{escalation_id}", "escalations")
    return row


def _look(escalation_id: str, user: Any, now: dt.datetime) -> None:
    """Who claims looks at the cause, so that its clock goes on to resolving."""
    row = Escalation.objects.filter(pk=escalation_id).values("fingerprint")
    incidents = Incident.objects.filter(fingerprint__in=row, closed_at=None, acknowledged_at=None)
    incidents.update(acknowledged_at=now, acknowledged_by=user.get_username()[:150])


def renew(escalation_id: str, user: Any, fence: int) -> dt.datetime:
    """Extend the very claim that the fence belongs to; returns until when it holds now.

    Raises:
        DecisionConflict: That claim has ended.
    """
    now = timezone.now()
    mine = Escalation.objects.filter(
        pk=escalation_id, state="open", claimed_by_id=user.pk, claim_fence=fence, claimed_until__gt=now
    )
    if not mine.update(claimed_until=now + LEASE):
        raise DecisionConflict(_("Your claim has ended. Claim the escalation again to go on."))
    live.publish_on_commit(f"escalation.{escalation_id}")
    return now + LEASE


def release(escalation_id: str, user: Any, request: HttpRequest | None = None) -> bool:
    """Give one's own claim back; says whether there was one."""
    with transaction.atomic():
        mine = Escalation.objects.filter(pk=escalation_id, claimed_by_id=user.pk, claimed_until__gt=timezone.now())
        gave = bool(mine.update(claimed_by=None, claimed_until=None))
        if gave:
            audit.record(user, "escalation.release", ("escalation", escalation_id), request=request)
    live.publish_on_commit(f"escalation.{escalation_id}", "escalations")
    return gave


def holds(row: Escalation) -> bool:
    """Whether anybody's claim on it holds now."""
    return bool(row.claimed_by_id and row.claimed_until and row.claimed_until > timezone.now())


def refuse_fenced(row: Escalation, user: Any, fence: int | None) -> None:
    """Refuse a decision of somebody who does not, or no longer, have the right to take it.

    Args:
        row: The escalation, locked.
        user: Who decides.
        fence: The claim number that the form was opened under; nothing when the caller did not say.

    Raises:
        DecisionConflict: Somebody else holds it; or the claim behind the form has ended.
    """
    mine = row.claimed_by_id == user.pk
    if holds(row) and not mine:
        assert row.claimed_by is not None
        raise DecisionConflict(_("%(who)s has claimed this escalation.") % {"who": row.claimed_by.get_username()})
    if fence is None:
        return
    if fence != row.claim_fence:
        raise DecisionConflict(
            _("This escalation was claimed after you opened this form, and your claim, if any, ended.")
        )
    if mine and row.claimed_by_id is not None and not holds(row):
        raise DecisionConflict(_("Your claim has expired. Claim the escalation again, then decide."))
