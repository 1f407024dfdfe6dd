"""One try to deliver one message: by e-mail, to a Slack-compatible webhook, or to a signed webhook.

Webhooks are signed as Standard Webhooks says (standardwebhooks.com): HMAC-SHA256 over
``<id>.<timestamp>.<body>``. Addresses are checked at every try as those of remote agents are.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import json
import smtplib
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents.addresses import Policy as AddressPolicy
from agents.addresses import check
from coordination.config import current
from coordination.errors import AgentError, FinalError
from dashboard.models import Escalation
from dashboard.notices.models import Incident, Message
from dashboard.retelling import retold
from dashboard.wording import named, stamp
from dashboard.work_models import Approval

TRY_S = 10.0
_LATER = frozenset({408, 425, 429})


class NotDelivered(Exception):
    """A message did not arrive.

    Attributes:
        final: Another try would not help.
        retry_after_s: When the receiver wants the next try, in seconds.
    """

    def __init__(self, words: str, *, final: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(words)
        self.final = final
        self.retry_after_s = retry_after_s


def send(message: Message) -> None:
    """Try once.

    Raises:
        NotDelivered: Says why.
    """
    kind = message.channel.kind
    with translation.override("en" if kind == "webhook" else message.channel.language):
        match kind:
            case "email":
                _send_email(message)
            case "slack":
                _post(message, _json({"text": slack_text(message)}), {})
            case "webhook":
                body = _json(payload(message))
                _post(message, body, signature(message, body, int(timezone.now().timestamp())))
            case _:
                raise NotDelivered(f"Nothing sends to a channel of kind {kind!r}.", final=True)


# --- words ------------------------------------------------------------------------------


def path(message: Message) -> str:
    """Where the console shows what a message is about; nothing for a test."""
    if message.approval is not None:
        return reverse("approvals")
    if message.incident is None:
        return ""
    return f"{reverse('escalations')}?{urlencode({'cause': message.incident.fingerprint})}"


def link(message: Message) -> str:
    """The address of what a message is about."""
    return settings.PUBLIC_URL + path(message)


def subject(message: Message) -> str:
    """A message in one line."""
    if message.approval is not None:
        return _("Needs approval: %(headline)s") % {"headline": retold(message.approval.headline, "headline")}
    if message.incident is None:
        return _("Ganglion: this is a test, nothing is wrong")
    if message.level == Message.RESOLVED:
        return _("Resolved: %(headline)s") % {"headline": retold(message.incident.headline, "headline")}
    said = {
        "priority": named(message.incident.priority).capitalize(),
        "headline": retold(message.incident.headline, "headline"),
        "level": message.level,
    }
    if message.level == 1:
        return _("%(priority)s: %(headline)s") % said
    return _("%(priority)s: %(headline)s (still nobody, level %(level)s)") % said


def text(message: Message) -> str:
    """A message in full, as plain text."""
    incident = message.incident
    if message.approval is not None:
        return _asked(message, message.approval)
    if incident is None:
        works = _("The channel “%(name)s” of %(url)s works.")
        return f"{subject(message)}.\n\n{works % {'name': message.channel.name, 'url': settings.PUBLIC_URL}}"
    lines = [subject(message), ""]
    if message.level == Message.RESOLVED:
        lines.append(_("No escalation of this cause is open any more."))
    else:
        waiting = _waiting(incident)
        words = ngettext(
            "%(count)s escalation waits for a person, of %(type)s.",
            "%(count)s escalations wait for a person, of %(type)s.",
            waiting,
        )
        lines.append(words % {"count": waiting, "type": incident.workflow_type})
        if incident.acknowledge_by:
            lines.append(_("Somebody should look by %(when)s.") % {"when": stamp(incident.acknowledge_by, "%H:%M")})
    return "\n".join([*lines, "", link(message)])


def _asked(message: Message, approval: Approval) -> str:
    words = _("%(who)s asks for it, and nobody approves their own request. It expires at %(when)s.")
    said = words % {"who": approval.requester, "when": stamp(approval.expires_at, "%H:%M")}
    return "\n".join([subject(message), "", said, "", link(message)])


def slack_text(message: Message) -> str:
    """A message as Slack reads it; what came from agents cannot mention anybody or make a link."""
    plain = text(message).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    head, _, rest = plain.partition("\n")
    return f"*{head}*\n{rest.strip()}"


def payload(message: Message) -> dict[str, Any]:
    """A message as a signed webhook carries it."""
    stamp = message.created_at.astimezone(dt.UTC).isoformat()
    data: dict[str, Any] = {"text": subject(message)}
    if (approval := message.approval) is not None:
        data |= {
            "approval": str(approval.pk), "headline": approval.headline, "requested_by": approval.requester,
            "expires_at": approval.expires_at.astimezone(dt.UTC).isoformat(), "url": link(message),
        }  # fmt: skip
        return {"type": "approval.waiting", "timestamp": stamp, "data": data}
    kind = "test" if message.incident is None else "resolved" if message.level == Message.RESOLVED else "waiting"
    if (incident := message.incident) is not None:
        data |= {
            "incident": str(incident.pk), "headline": incident.headline, "priority": incident.priority,
            "workflow_type": incident.workflow_type, "reason": incident.reason, "level": message.level,
            "open": _waiting(incident), "opened_at": incident.opened_at.astimezone(dt.UTC).isoformat(),
            "acknowledge_by": incident.acknowledge_by and incident.acknowledge_by.astimezone(dt.UTC).isoformat(),
            "url": link(message),
        }  # fmt: skip
    return {"type": f"incident.{kind}", "timestamp": stamp, "data": data}


def _waiting(incident: Incident) -> int:
    return Escalation.objects.filter(state="open", fingerprint=incident.fingerprint).count()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


# --- ways -------------------------------------------------------------------------------------


def message_id(message: Message) -> str:
    """The id that every try of a message carries."""
    return f"msg_{message.pk.hex}"


def signature(message: Message, body: bytes, stamp: int) -> dict[str, str]:
    """The headers that prove who sent a body, and when."""
    name = message_id(message)
    secret = base64.b64decode(message.channel.secret.removeprefix("whsec_"))
    digest = hmac.digest(secret, f"{name}.{stamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(stamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _send_email(message: Message) -> None:
    addresses = [part.strip() for part in message.channel.target.split(",") if part.strip()]
    mail = EmailMessage(
        subject(message).replace("\n", " ").replace("\r", " ")[:200],
        text(message),
        to=addresses,
        headers={"Message-ID": f"<{message_id(message)}@ganglion>", "Auto-Submitted": "auto-generated"},
        connection=get_connection(timeout=TRY_S),
    )
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        raise NotDelivered(f"The mail server refuses {', '.join(error.recipients)}.", final=True) from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotDelivered(f"The mail server at {settings.EMAIL_HOST} did not take it: {error}.") from None


def _post(message: Message, body: bytes, headers: dict[str, str]) -> None:
    try:
        status, after = asyncio.run(_posted(message.channel.target, body, headers))
    except FinalError as error:
        raise NotDelivered(str(error), final=True) from None
    except (AgentError, httpx.HTTPError, TimeoutError, OSError) as error:
        raise NotDelivered(f"It cannot be reached: {str(error) or type(error).__name__}.") from None
    if status >= 500 or status in _LATER:
        raise NotDelivered(f"It answered {status}.", retry_after_s=float(after) if after.isdecimal() else None)
    if status >= 300:
        raise NotDelivered(f"It refuses with status {status}.", final=True)


def address_policy() -> AddressPolicy:
    """Where notices may go: the hosts of GANGLION_NOTIFY_HOSTS, with every guard that remote agents have."""
    return msgspec.structs.replace(AddressPolicy.of(current()), hosts=tuple(settings.NOTIFY_HOSTS))


async def _posted(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    async with asyncio.timeout(TRY_S):
        target = await check(url, address_policy())
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=TRY_S) as client:
            request = client.build_request(
                "POST",
                target.url,
                content=body,
                headers={
                    "Host": target.netloc,
                    "Content-Type": "application/json",
                    "User-Agent": "ganglion-notices",
                    **headers,
                },
                extensions=target.extensions,
            )
            response = await client.send(request, stream=True)  # what it answers beside the status is not read
            try:
                return response.status_code, response.headers.get("retry-after", "")
            finally:
                await response.aclose()
