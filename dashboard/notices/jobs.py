"""The periodic work of notices; see ``dashboard.jobs`` for what holds of every job."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import Any

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone
from redis.exceptions import RedisError

from coordination.config import current
from dashboard.notices import chain, delivery
from dashboard.notices.models import Incident, Message

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "notices": {"task": "dashboard.notices.jobs.notify", "schedule": 2.0, "options": {"expires": 10}},
    "notices-retention": {"task": "dashboard.notices.jobs.age_out", "schedule": 3600.0, "options": {"expires": 3000}},
}

_LOCK, _LOCK_S = "notices:delivering", 90  # longer than a run: a worker that died in one holds it no longer


@shared_task(acks_late=True)
def notify() -> dict[str, int]:
    """Bring incidents up to date and send what is due: one worker at a time, so that other jobs have the others."""
    done = chain.advance()
    try:
        is_mine = cache.add(_LOCK, 1, _LOCK_S)
    except (RedisError, OSError):
        is_mine = True  # each message is leased in any case
    if not is_mine:
        return done
    try:
        return {**done, **delivery.deliver()}
    finally:
        with suppress(RedisError, OSError):
            cache.delete(_LOCK)


@shared_task(acks_late=True)
def age_out() -> int:
    """Delete closed incidents, with their messages, that are older than the history, and old tests of channels."""
    limit = timezone.now() - dt.timedelta(days=current().history_days)
    Message.objects.filter(incident=None, created_at__lt=limit).delete()
    return Incident.objects.filter(closed_at__lt=limit).delete()[0]
