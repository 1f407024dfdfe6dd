"""The page of notices: open incidents with their clocks, messages with their fate, channels and policies."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from coordination.domain import Reason
from coordination.errors import BadRequest
from dashboard import accounts, audit
from dashboard.models import Escalation
from dashboard.notices import chain, manage, sending
from dashboard.notices.models import Channel, Incident, Level, Message, Policy
from dashboard.pages import LivePage, Visit, register
from dashboard.roles import admin_required, allowed, operator_required, viewer_required
from dashboard.views.posting import post_only

LEVELS = 3  # that the form offers
SHOWN = 50
FRESH = dt.timedelta(minutes=10)  # messages to browsers older than this are not shown any more


def _context(visit: Visit) -> dict[str, Any]:
    levels = Prefetch("levels", queryset=Level.objects.prefetch_related("channels"))
    return {
        "incidents": Incident.objects.filter(closed_at=None).select_related("policy").order_by("opened_at")[:SHOWN],
        "open_incidents": Incident.objects.filter(closed_at=None).count(),
        "deliveries": Message.objects.select_related("channel", "incident", "approval").order_by("-created_at")[:SHOWN],
        "channels": Channel.objects.all(),
        "policies": Policy.objects.prefetch_related(levels),
        "reasons": [str(reason) for reason in Reason],
        "kinds": Channel.KINDS,
        "languages": settings.LANGUAGES,
        "language": visit.language,
        "priorities": Policy.PRIORITIES,
        "level_numbers": range(1, LEVELS + 1),
        "now": timezone.now(),
    }


PAGE = register(
    "notices",
    LivePage(
        name="notices",
        template="dashboard/notices.html",
        context=_context,
        partials=("no-incidents", "no-messages"),
        topics=lambda visit: {"escalations"},
        tick_s=2.0,
    ),
)


@require_GET
@viewer_required
def notices(request: HttpRequest) -> HttpResponse:
    """The page."""
    return PAGE.respond(request)


@post_only("notices")
@operator_required
def acknowledge(request: HttpRequest, incident_id: str) -> HttpResponse:
    """Say that one looks at it."""
    incident = get_object_or_404(Incident.objects.select_related("policy"), pk=incident_id, closed_at=None)
    chain.acknowledge(incident, str(request.user))
    audit.record(request.user, "incident.acknowledge", ("incident", str(incident.pk)), request=request)
    messages.success(request, _("You are on it: nobody further is told for now."))
    seen = request.POST.get("escalation", "").replace("\x00", "")
    if Escalation.objects.filter(pk=seen, fingerprint=incident.fingerprint).exists():
        return redirect("escalation", escalation_id=seen)
    return redirect("notices")


@post_only("notices")
@admin_required
def add_channel(request: HttpRequest) -> HttpResponse:
    """Add a channel; a webhook's secret is shown this once."""
    given = request.POST
    try:
        accounts.confirm(request, given.get("password", ""))
        channel = manage.add_channel(
            request.user, given.get("name", ""), given.get("kind", ""), given.get("target", ""), request,
            approvals="approvals" in given, language=given.get("language", "en"),
        )  # fmt: skip
    except BadRequest as error:
        return PAGE.respond(
            request,
            {"channel_fault": str(error), "channel": given, "confirm": isinstance(error, accounts.ConfirmationNeeded)},
        )
    if channel.secret:
        return PAGE.respond(request, {"new_channel": channel})
    messages.success(request, _("The channel “%(channel)s” is ready. Send it a test.") % {"channel": channel.name})
    return redirect("notices")


@post_only("notices")
@admin_required
def change_channel(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Test a channel, switch it on or off, or take it away."""
    channel = get_object_or_404(Channel, pk=channel_id)
    match request.POST.get("do", ""):
        case "test":
            sent = manage.test_channel(request.user, channel, request)
            if sent.state == "delivered" or channel.kind == "browser":
                messages.success(request, _("A test is on its way to “%(channel)s”.") % {"channel": channel.name})
            else:
                messages.error(
                    request,
                    _("The test did not reach “%(channel)s”: %(error)s")
                    % {"channel": channel.name, "error": sent.error},
                )
        case "on" | "off" as wanted:
            manage.switch_channel(request.user, channel, "enabled", wanted == "on", request)
        case "tell-approvals" | "spare-approvals" as wanted:
            manage.switch_channel(request.user, channel, "approvals", wanted == "tell-approvals", request)
        case "delete":
            manage.delete_channel(request.user, channel, request)
            messages.success(request, _("The channel “%(channel)s” is gone.") % {"channel": channel.name})
    return redirect("notices")


@post_only("notices")
@admin_required
def save_policy(request: HttpRequest) -> HttpResponse:
    """Make or change a policy."""
    given = request.POST
    policy = Policy.objects.filter(pk=given["policy"]).first() if given.get("policy", "").isdecimal() else None
    try:
        manage.save_policy(
            request.user,
            policy=policy,
            name=given.get("name", ""),
            workflow_type=given.get("workflow_type", "*"),
            reason=given.get("reason", ""),
            priority=given.get("priority", "normal"),
            acknowledge_s=_seconds(given.get("acknowledge_min", ""), _("The time to look at it")),
            resolve_s=_seconds(given.get("resolve_min", ""), _("The time to resolve it")),
            levels=[
                (
                    _seconds(given.get(f"after_{number}", "") or "0", _("Level %(number)s") % {"number": number}),
                    [int(key) for key in given.getlist(f"channels_{number}") if key.isdecimal()],
                )
                for number in range(1, LEVELS + 1)
            ],
            request=request,
        )
    except BadRequest as error:
        return PAGE.respond(request, {"policy_fault": str(error), "policy": given})
    messages.success(request, _("The policy is saved."))
    return redirect("notices")


def _seconds(minutes: str, what: str) -> int:
    try:
        found = round(float(minutes) * 60)
    except (ValueError, OverflowError):
        raise BadRequest(
            _("%(what)s takes a number of minutes, not %(minutes)s.") % {"what": what, "minutes": repr(minutes)}
        ) from None
    if not 0 <= found <= 30 * 86_400:
        raise BadRequest(_("%(what)s takes minutes from 0 to %(value)s.") % {"what": what, "value": 30 * 1440})
    return found


@post_only("notices")
@admin_required
def delete_policy(request: HttpRequest, policy_id: int) -> HttpResponse:
    """Take a policy away."""
    policy = get_object_or_404(Policy, pk=policy_id)
    manage.delete_policy(request.user, policy, request)
    messages.success(request, _("The policy “%(policy)s” is gone.") % {"policy": policy.name})
    return redirect("notices")


@post_only("notices")
@operator_required
def try_again(request: HttpRequest, message_id: str) -> HttpResponse:
    """Send a failed message again."""
    manage.try_again(request.user, get_object_or_404(Message, pk=message_id), request)
    return redirect("notices")


# --- the browser as a channel -------------------------------------------------------------


def _shown_to(user: Any) -> QuerySet[Message]:
    """Messages to browsers that this person sees: a request for approval only who may approve it."""
    rows = Message.objects.filter(channel__kind="browser")
    if not allowed(user, "approve"):
        return rows.filter(approval=None)
    return rows.exclude(approval__requested_by_id=user.pk).exclude(approval__requester=user.get_username())


@require_GET
@viewer_required
def fresh(request: HttpRequest) -> HttpResponse:
    """Messages to browsers of the last minutes, oldest first; every open page shows each once."""
    since = timezone.now() - FRESH
    rows = _shown_to(request.user).filter(created_at__gt=since).exclude(state="withdrawn")
    found = [
        {
            "id": row.pk.hex,
            "title": sending.subject(row),
            "href": sending.path(row),
            "page": reverse("approvals" if row.approval else "escalations"),
            "tone": "done" if row.incident and row.level == Message.RESOLVED else "human",
            "over": _is_over(row),
        }
        for row in rows.select_related("incident", "approval", "channel").order_by("created_at")[:20]
    ]
    response = JsonResponse({"messages": found})
    response["Cache-Control"] = "no-store"
    return response


def _is_over(message: Message) -> bool:
    if message.approval is not None:
        return message.approval.state != "waiting"
    return message.incident is not None and message.incident.closed_at is not None


@require_POST
@viewer_required
def seen(request: HttpRequest, message_id: str) -> HttpResponse:
    """A page has shown a message."""
    rows = _shown_to(request.user).filter(pk=message_id, state="waiting")
    Message.objects.filter(pk__in=rows.values("pk")).update(
        state="delivered", delivered_at=timezone.now(), tries=1, error=""
    )
    return HttpResponse(status=204)
