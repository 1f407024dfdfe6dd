"""Incidents and their chain of levels: opened, told, acknowledged, closed.

An incident is one cause, not one escalation: two hundred failures of one cause tell people once.
Every function may run twice, late, or on several machines at once: an incident exists once while it
is open, and a message once for each incident, channel and level; the database keeps both promises.
"""

from __future__ import annotations

import datetime as dt
import fnmatch

from django.db import transaction
from django.db.models import Max, Min, Q
from django.utils import timezone

from dashboard.models import Escalation
from dashboard.notices.models import Incident, Level, Message, Policy

MOST = 200  # incidents that one run opens, tells or closes


def advance(now: dt.datetime | None = None) -> dict[str, int]:
    """Bring every incident to where it should be now; returns how many were opened, told and closed."""
    now = now or timezone.now()
    closed = _close(now)  # first, so that a cause that comes back is an incident of its own
    return {"opened": _open(now), "told": _tell(now), "closed": closed}


def acknowledge(incident: Incident, actor: str, now: dt.datetime | None = None) -> None:
    """Somebody looks at it: the chain waits until it has to be resolved."""
    now = now or timezone.now()
    rest = dt.timedelta(seconds=incident.policy.acknowledge_s if incident.policy else 900)
    until = max(incident.resolve_by or now, now + rest)
    Incident.objects.filter(pk=incident.pk, closed_at=None).update(
        acknowledged_at=now, acknowledged_by=actor[:150], quiet_until=until
    )


def _open(now: dt.datetime) -> int:
    known = Incident.objects.filter(closed_at=None).values("fingerprint")
    groups = (
        Escalation.objects.filter(state="open")
        .exclude(fingerprint__in=known)
        .values("fingerprint")
        .annotate(first=Min("opened_at"), one=Min("pk"))
        .order_by("first")[:MOST]
    )
    begun = {group["one"]: group["first"] for group in groups}
    if not begun:
        return 0
    policies = list(Policy.objects.filter(enabled=True).prefetch_related("levels"))
    made = []
    for row in Escalation.objects.filter(pk__in=begun):
        opened = begun[row.pk]
        policy = next((one for one in policies if fits(one, row)), None)
        incident = Incident(
            fingerprint=row.fingerprint, policy=policy, headline=row.headline, workflow_type=row.workflow_type,
            reason=row.reason, opened_at=opened,
        )  # fmt: skip
        if policy is not None:
            incident.priority = policy.priority
            incident.acknowledge_by = opened + dt.timedelta(seconds=policy.acknowledge_s)
            incident.resolve_by = opened + dt.timedelta(seconds=policy.resolve_s)
            incident.next_at = _due(incident, list(policy.levels.all()), 0)
        made.append(incident)
    Incident.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def fits(policy: Policy, escalation: Escalation) -> bool:
    """Whether a policy is for an escalation."""
    return fnmatch.fnmatchcase(escalation.workflow_type, policy.workflow_type) and policy.reason in (
        "",
        escalation.reason,
    )


def _due(incident: Incident, levels: list[Level], told: int) -> dt.datetime | None:
    if told >= len(levels):
        return None
    return incident.opened_at + dt.timedelta(seconds=levels[told].after_s)


def _tell(now: dt.datetime) -> int:
    """Write the messages of every level that is due and that nobody's work holds back."""
    told = 0
    for pk in Incident.objects.filter(closed_at=None, next_at__lte=now).values_list("pk", flat=True)[:MOST]:
        with transaction.atomic():
            incident = (
                Incident.objects.select_for_update(skip_locked=True, of=("self",))
                .filter(pk=pk, closed_at=None, next_at__lte=now)
                .first()
            )
            if incident is None:
                continue
            _acknowledge_by_claim(incident, now)
            if incident.told and incident.quiet_until and incident.quiet_until > now:
                incident.next_at = incident.quiet_until
            else:
                told += _next_level(incident, now)
            incident.save(update_fields=["next_at", "told", "acknowledged_at", "acknowledged_by", "quiet_until"])
    return told


def _acknowledge_by_claim(incident: Incident, now: dt.datetime) -> None:
    """A claim on any escalation of the cause is somebody who looks at it."""
    claims = Escalation.objects.filter(state="open", fingerprint=incident.fingerprint, claimed_until__gt=now)
    last = claims.order_by("-claimed_until").select_related("claimed_by").first()
    if last is None or last.claimed_by is None or last.claimed_until is None:
        return
    incident.quiet_until = max(last.claimed_until, incident.quiet_until or now)
    if incident.acknowledged_at is None:
        incident.acknowledged_at, incident.acknowledged_by = now, last.claimed_by.get_username()


def _next_level(incident: Incident, now: dt.datetime) -> int:
    levels = list(incident.policy.levels.prefetch_related("channels")) if incident.policy else []
    if incident.told >= len(levels):
        incident.next_at = None
        return 0
    number = incident.told + 1
    channels = [channel for channel in levels[incident.told].channels.all() if channel.enabled]
    messages = [Message(incident=incident, channel=channel, level=number, next_at=now) for channel in channels]
    Message.objects.bulk_create(messages, ignore_conflicts=True)
    incident.told = number
    incident.next_at = _due(incident, levels, number)
    return len(messages)


def _close(now: dt.datetime) -> int:
    """Close incidents without an open escalation, and tell whoever was told that it is over."""
    still = Escalation.objects.filter(state="open").values("fingerprint")
    over = Incident.objects.filter(closed_at=None).exclude(fingerprint__in=still)
    ids = list(over.values_list("pk", flat=True)[:MOST])
    closed = 0
    for pk in ids:
        with transaction.atomic():
            if not Incident.objects.filter(pk=pk, closed_at=None).update(closed_at=now, next_at=None):
                continue
            closed += 1
            told = Message.objects.filter(incident_id=pk)
            told.filter(state="waiting", tries=0).update(state="withdrawn")
            reached = told.filter(~Q(state="withdrawn"), ~Q(channel__kind="browser"), channel__enabled=True)
            channels = list(reached.values("channel").annotate(last=Max("level")).values_list("channel", flat=True))
            told.filter(state="waiting").update(state="withdrawn")  # an alarm that has not arrived yet comes no more
            Message.objects.bulk_create(
                [Message(incident_id=pk, channel_id=one, level=Message.RESOLVED, next_at=now) for one in channels],
                ignore_conflicts=True,
            )
    return closed
