"""Periodic work on bulk actions and on the disposition ledger."""

from __future__ import annotations

import datetime as dt
from typing import Any

from celery import shared_task
from celery.schedules import crontab
from django.utils import timezone

from coordination.config import current
from dashboard import bulk_run, dispositions, live
from dashboard.bulk_models import BulkAction, Disposition

WORK_S = 8.0

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "bulk": {"task": "dashboard.bulk_jobs.run_bulk_actions", "schedule": 2.0, "options": {"expires": 2}},
    "ledger": {"task": "dashboard.bulk_jobs.record_dispositions", "schedule": 5.0, "options": {"expires": 5}},
    "bulk_retention": {
        "task": "dashboard.bulk_jobs.age_out_bulk",
        "schedule": crontab(minute="27"),
        "options": {"expires": 3000},
    },
}


@shared_task(acks_late=True)
def run_bulk_actions() -> int:
    """Work on what is active for a while; the next run goes on."""
    return bulk_run.work(WORK_S)


@shared_task(acks_late=True)
def record_dispositions() -> int:
    """Record the end of every failure whose end is verified."""
    done = dispositions.record_known()
    if done:
        live.publish(["escalations"])
    return done


@shared_task(acks_late=True)
def age_out_bulk() -> int:
    """Delete bulk actions and dispositions that are older than the history."""
    limit = timezone.now() - dt.timedelta(days=current().history_days)
    Disposition.objects.filter(at__lt=limit).delete()
    return BulkAction.objects.filter(finished_at__lt=limit).delete()[0]
