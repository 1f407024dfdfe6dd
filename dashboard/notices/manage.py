"""What administrators do to channels and policies, each written into the audit log."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
from collections.abc import Sequence
from typing import Any

from asgiref.sync import async_to_sync
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from agents import addresses
from coordination.domain import Reason
from coordination.errors import AgentError, BadRequest
from dashboard import audit
from dashboard.language import known
from dashboard.notices import delivery, sending
from dashboard.notices.models import Channel, Incident, Level, Message, Policy


def add_channel(
    user: Any,
    name: str,
    kind: str,
    target: str,
    request: HttpRequest | None = None,
    *,
    approvals: bool = False,
    language: str = "en",
) -> Channel:
    """Add a way to reach people in their language; a webhook gets a secret that is shown once.

    Raises:
        BadRequest: Says what does not fit.
    """
    name, target = name.strip(), target.strip()
    if not name:
        raise BadRequest(_("Give the channel a name."))
    if kind not in Channel.KINDS:
        raise BadRequest(
            _("A channel is one of %(names)s, not %(kind)s.") % {"names": ", ".join(Channel.KINDS), "kind": repr(kind)}
        )
    if not known(language):
        raise BadRequest(_("Messages are not written in %(language)s.") % {"language": repr(language)})
    _check_target(kind, target)
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}" if kind == "webhook" else ""
    try:
        with transaction.atomic():
            channel = Channel.objects.create(
                name=name[:80], kind=kind, target=target, secret=secret, approvals=approvals, language=language
            )
            after = {"kind": kind, "approvals": approvals, "language": language}
            audit.record(user, "channel.create", ("channel", name), after=after, request=request)
    except IntegrityError:
        raise BadRequest(_("There is already a channel with the name %(name)s.") % {"name": repr(name)}) from None
    return channel


def _check_target(kind: str, target: str) -> None:
    if kind == "email":
        parts = [part.strip() for part in target.split(",") if part.strip()]
        try:
            for part in parts:
                validate_email(part)
        except ValidationError:
            raise BadRequest(_("%(target)s is no list of e-mail addresses.") % {"target": repr(target)}) from None
        if not parts:
            raise BadRequest(_("Give at least one e-mail address."))
    elif kind in ("slack", "webhook"):
        try:
            async_to_sync(addresses.check)(target, sending.address_policy())
        except AgentError as error:
            words = str(error).replace("GANGLION_REMOTE_HOSTS", "GANGLION_NOTIFY_HOSTS")
            raise BadRequest(words) from None


def switch_channel(user: Any, channel: Channel, what: str, on: bool, request: HttpRequest | None = None) -> None:
    """Use a channel (``enabled``) or tell it of requests for approval (``approvals``), or stop doing so."""
    with transaction.atomic():
        Channel.objects.filter(pk=channel.pk).update(**{what: on})
        before = {what: getattr(channel, what)}
        audit.record(
            user, "channel.change", ("channel", channel.name), before=before, after={what: on}, request=request
        )


def delete_channel(user: Any, channel: Channel, request: HttpRequest | None = None) -> None:
    """Take a channel away, with its messages."""
    with transaction.atomic():
        audit.record(user, "channel.delete", ("channel", channel.name), request=request)
        channel.delete()


def test_channel(user: Any, channel: Channel, request: HttpRequest | None = None) -> Message:
    """Send a test at once; the message says whether it arrived."""
    message = Message.objects.create(channel=channel, level=1, next_at=timezone.now())
    audit.record(user, "channel.test", ("channel", channel.name), request=request)
    if channel.kind != "browser":
        delivery.deliver_one(message.pk)
        message.refresh_from_db()
    return message


def save_policy(
    user: Any,
    *,
    name: str,
    workflow_type: str = "*",
    reason: str = "",
    priority: str = "normal",
    acknowledge_s: int,
    resolve_s: int,
    levels: Sequence[tuple[int, Sequence[int]]],
    policy: Policy | None = None,
    request: HttpRequest | None = None,
) -> Policy:
    """Make a policy, or change one; open incidents go on by the levels that they were not told of yet.

    Args:
        levels: Seconds after the incident's beginning, and the keys of the channels that are told then.

    Raises:
        BadRequest: Says what does not fit.
    """
    name = name.strip()
    if not name:
        raise BadRequest(_("Give the policy a name."))
    if priority not in Policy.PRIORITIES:
        raise BadRequest(_("A priority is one of %(names)s.") % {"names": ", ".join(Policy.PRIORITIES)})
    if reason and reason not in set(Reason):
        raise BadRequest(_("%(reason)s is no reason of an escalation.") % {"reason": repr(reason)})
    if not 0 < acknowledge_s <= resolve_s:
        raise BadRequest(_("The time to look at it must be above zero, and at most the time to resolve it."))
    before = shown(policy) if policy else None
    made = policy or Policy()
    made.name, made.workflow_type, made.reason, made.priority = (
        name[:80],
        workflow_type.strip() or "*",
        reason,
        priority,
    )
    made.acknowledge_s, made.resolve_s = acknowledge_s, resolve_s
    try:
        with transaction.atomic():
            made.save()
            made.levels.all().delete()
            for after_s, channels in sorted(levels, key=lambda level: level[0]):
                found = Channel.objects.filter(pk__in=channels)
                if found:
                    Level.objects.create(policy=made, after_s=after_s).channels.set(found)
            action = "policy.change" if policy else "policy.create"
            audit.record(user, action, ("policy", made.name), before=before, after=shown(made), request=request)
    except IntegrityError:
        raise BadRequest(_("There is already a policy with the name %(name)s.") % {"name": repr(name)}) from None
    return made


def delete_policy(user: Any, policy: Policy, request: HttpRequest | None = None) -> None:
    """Take a policy away; its open incidents tell nobody further."""
    with transaction.atomic():
        audit.record(user, "policy.delete", ("policy", policy.name), before=shown(policy), request=request)
        Incident.objects.filter(policy=policy, closed_at=None).update(next_at=None)
        policy.delete()


def shown(policy: Policy) -> dict[str, Any]:
    """A policy as the audit log keeps it."""
    return {
        "workflow_type": policy.workflow_type,
        "reason": policy.reason,
        "priority": policy.priority,
        "acknowledge_s": policy.acknowledge_s,
        "resolve_s": policy.resolve_s,
        "levels": [
            {"after_s": level.after_s, "channels": [channel.name for channel in level.channels.all()]}
            for level in policy.levels.prefetch_related("channels")
        ],
    }


def try_again(user: Any, message: Message, request: HttpRequest | None = None) -> None:
    """Send a message that failed once more, under the same id."""
    with transaction.atomic():
        again = Message.objects.filter(pk=message.pk, state="failed")
        if again.update(state="waiting", tries=0, next_at=timezone.now() - dt.timedelta(seconds=1)):
            audit.record(user, "notice.retry", ("notice", str(message.pk)), request=request)
