"""Carries bulk actions out, item by item, from SQL alone: any process goes on where another one died.

A canary goes first; the others follow at their pace once its outcome is verified. Everything here may run twice:
an item's decision has an id of its own, and an item's state changes only from the one it was read in.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
from typing import Any

import msgspec
from django.db.models import Count, Max, Q
from django.utils import timezone

from coordination.errors import TryAgain
from dashboard import bulk, bulk_escalations, bulk_workflows, dispositions, live
from dashboard.bulk_models import BulkAction, BulkItem
from dashboard.roles import allowed

logger = logging.getLogger("ganglion.bulk")

HELD = dt.timedelta(seconds=30)  # by a job that has died meanwhile
TICK_S = 0.2
VERIFIED_AT_ONCE = 500
JUDGED = 10  # fewer verified items count as so many when their failing share is judged
State, Item = BulkAction.State, BulkItem.State


def work(for_s: float) -> int:
    """Work on every active bulk action for so long, or until there is nothing to do; returns how many items moved."""
    deadline, moved = time.monotonic() + for_s, 0
    while True:
        # What was cancelled or has stopped is still verified: its items are out there.
        sent = Q(items__state=Item.SENT, state__in=(State.STOPPED, State.CANCELLED))
        found = BulkAction.objects.filter(Q(state__in=BulkAction.ACTIVE) | sent).distinct()
        ids = list(found.order_by("created_at").values_list("pk", flat=True))
        for bulk_id in ids:
            moved += _hold_and_step(bulk_id)
        if not ids or time.monotonic() >= deadline:
            return moved
        time.sleep(TICK_S)


def _hold_and_step(bulk_id: Any) -> int:
    now = timezone.now()
    free = Q(held_until=None) | Q(held_until__lte=now)
    if not BulkAction.objects.filter(free, pk=bulk_id).update(held_until=now + HELD):
        return 0
    try:
        return step(BulkAction.objects.select_related("user").get(pk=bulk_id))
    except TryAgain as error:
        logger.info("bulk action %s waits: %s", bulk_id, error)
        return 0
    finally:
        BulkAction.objects.filter(pk=bulk_id).update(held_until=None)


def step(made: BulkAction) -> int:
    """One look at a bulk action: verify what was sent, then stop, finish, or send what is due.

    Returns:
        How many items changed.

    Raises:
        TryAgain: Redis does not answer; nothing is lost by looking again later.
    """
    moved = _verify(made)
    if made.is_active:
        if made.user is None or not allowed(made.user, "operate"):
            moved += _end(made, State.STOPPED, f"{made.actor} may no longer operate.")
        elif made.state == State.CANARY:
            moved += _watch_canary(made)
        else:
            moved += _go_on(made)
    if moved:
        live.publish([f"bulk.{made.pk}", made.target])
    return moved


def _module(made: BulkAction) -> Any:
    return bulk_escalations if made.target == "escalations" else bulk_workflows


def _verify(made: BulkAction) -> int:
    items = list(BulkItem.objects.filter(bulk=made, state=Item.SENT).order_by("place")[:VERIFIED_AT_ONCE])
    found = _module(made).verify(made, items) if items else {}
    now = timezone.now()
    for pk, (state, answer) in found.items():
        BulkItem.objects.filter(pk=pk, state=Item.SENT).update(state=state, answer=answer[:300], finished_at=now)
    return len(found)


def _watch_canary(made: BulkAction) -> int:
    tried = list(BulkItem.objects.filter(bulk=made, sent_at__gte=made.resumed_at).order_by("place"))
    failed = next((item for item in tried if item.state == Item.FAILED_AGAIN), None)
    if failed is not None:
        rest = BulkItem.objects.filter(bulk=made, state=Item.WAITING).count()
        said = (failed.answer or failed.label).rstrip(".")[:220]
        return _end(made, State.STOPPED, f"The canary failed again: {said}. {rest:,} are untouched.")
    if any(item.state == Item.SUCCEEDED for item in tried):
        BulkAction.objects.filter(pk=made.pk, state=State.CANARY).update(state=State.RUNNING, resumed_at=timezone.now())
        return 1
    if any(item.state == Item.SENT for item in tried):
        return 0
    return _send(made, 1) or _finish(made)  # the first, or the next because one that was refused proves nothing


def _go_on(made: BulkAction) -> int:
    rest = BulkItem.objects.filter(bulk=made, sent_at__gte=made.resumed_at)
    seen = rest.aggregate(
        failed=Count("pk", filter=Q(state=Item.FAILED_AGAIN)),
        verified=Count("pk", filter=Q(state__in=(Item.FAILED_AGAIN, Item.SUCCEEDED))),
        under_way=Count("pk", filter=Q(state=Item.SENT)),
        last=Max("sent_at"),
    )
    if seen["failed"] > made.most_failing * max(seen["verified"], JUDGED):
        words = f"{seen['failed']:,} of {seen['verified']:,} verified items failed again."
        return _end(made, State.STOPPED, f"{words} What is untouched stays so until somebody goes on.")
    since = (timezone.now() - max(seen["last"] or made.resumed_at, made.resumed_at)).total_seconds()
    most_under_way = max(10, math.ceil(made.per_second * 10))
    due = min(
        math.floor(since * made.per_second),  # at most the pace,
        math.ceil(made.per_second),  # never the arrears of a pause,
        most_under_way - seen["under_way"],  # and not far ahead of what is verified
    )
    return (_send(made, due) if due > 0 else 0) or _finish(made)


def _send(made: BulkAction, count: int) -> int:
    """Send the next items; returns how many. Cancelling takes effect between two of them."""
    payload = msgspec.json.decode(made.payload) if made.payload else None
    sent = 0
    for item in BulkItem.objects.filter(bulk=made, state=Item.WAITING).order_by("place")[:count]:
        if not BulkAction.objects.filter(pk=made.pk, state=made.state).exists():
            break
        state, answer = _module(made).send(made, item, payload, made.user)
        now = timezone.now()
        BulkItem.objects.filter(pk=item.pk, state=Item.WAITING).update(
            state=state, answer=answer[:300], other_id=item.other_id, sent_at=now,
            finished_at=None if state == Item.SENT else now,
        )  # fmt: skip
        sent += 1
    return sent


def _finish(made: BulkAction) -> int:
    """End a bulk action of which nothing waits and nothing is under way."""
    if BulkItem.objects.filter(bulk=made, state__in=(Item.WAITING, Item.SENT)).exists():
        return 0
    return _end(made, State.DONE, "")


def _end(made: BulkAction, state: str, why: str) -> int:
    values = {"state": state, "why": why[:300], "finished_at": timezone.now()}
    ended = BulkAction.objects.filter(pk=made.pk, state=made.state).update(**values)
    if ended and state == State.DONE:
        bulk.forget_secrets(made)
    dispositions.record_known()
    return ended
