"""Sends what is due: each message until it arrives, or until its tries are used up.

Before a try the message is leased, so that of several workers one sends it. A worker that dies in a
try leaves the lease to run out, and the next try carries the same id: nothing is lost, and a receiver
that keeps ids sees nothing twice.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid

from django.db.models import F
from django.utils import timezone

from dashboard.notices import sending
from dashboard.notices.models import Message

logger = logging.getLogger(__name__)

LEASE = dt.timedelta(seconds=45)  # longer than any try
PAUSES_S = (10, 30, 120, 600, 1_800, 3_600, 7_200)  # after the first try, the second ...
BUDGET_S = 30.0  # for one run; the next goes on
BROWSER_S = 3_600  # a message to browsers that no open page has shown by then has failed


def deliver(limit: int = 100) -> dict[str, int]:
    """Try every message that is due, oldest first; returns how many arrived, wait again, and failed."""
    counts = {"delivered": 0, "waiting": 0, "failed": 0}
    ends = time.monotonic() + BUDGET_S
    due = Message.objects.filter(state="waiting", next_at__lte=timezone.now(), channel__enabled=True)
    for pk in due.exclude(channel__kind="browser").order_by("next_at").values_list("pk", flat=True)[:limit]:
        if time.monotonic() > ends:
            break
        if (state := deliver_one(pk)) is not None:
            counts[state] += 1
    _give_up_on_browsers()
    return counts


def deliver_one(pk: uuid.UUID) -> str | None:
    """Try one message now; its state after that, or nothing when somebody else is at it or it is done."""
    now = timezone.now()
    leased = Message.objects.filter(pk=pk, state="waiting", next_at__lte=now)
    if not leased.update(next_at=now + LEASE, tries=F("tries") + 1):
        return None
    message = Message.objects.select_related("incident", "approval", "channel").get(pk=pk)
    try:
        sending.send(message)
    except sending.NotDelivered as error:
        return _failed(message, error)
    Message.objects.filter(pk=pk).update(state="delivered", delivered_at=timezone.now(), error="")
    return "delivered"


def _failed(message: Message, error: sending.NotDelivered) -> str:
    last = error.final or message.tries > len(PAUSES_S)
    state = "failed" if last else "waiting"
    pause_s = PAUSES_S[min(message.tries, len(PAUSES_S)) - 1]
    if error.retry_after_s is not None:
        pause_s = max(pause_s, min(int(error.retry_after_s), PAUSES_S[-1]))
    Message.objects.filter(pk=message.pk, state="waiting").update(
        state=state, error=str(error)[:300], next_at=timezone.now() + dt.timedelta(seconds=pause_s)
    )
    logger.warning("a notice to %s did not arrive (try %d): %s", message.channel.name, message.tries, error)
    return state


def _give_up_on_browsers() -> None:
    limit = timezone.now() - dt.timedelta(seconds=BROWSER_S)
    Message.objects.filter(channel__kind="browser", state="waiting", created_at__lt=limit).update(
        state="failed", error="No page of the console was open."
    )
