"""Periodic work, run by Celery: retention, consistency, schedules, decisions that Redis has not answered.

Every job may run twice, late, or on several machines at once. None is on a workflow's own way.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from celery import shared_task
from celery.schedules import crontab
from croniter import CroniterError
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from coordination import catalog
from coordination import client as core
from coordination.config import current
from coordination.connection import Connection
from coordination.domain import WorkflowState
from coordination.errors import GanglionError, TryAgain
from coordination.inspect import Inspector
from coordination.keys import Keys
from dashboard import approvals, audit, live, outbox, relay_status, schedules
from dashboard.models import Escalation, HostEvent, LoginFailure, LoginLink, Sample, Schedule, Workflow, WorkflowArchive
from dashboard.people import sessions
from dashboard.reconciliation import LIVING
from dashboard.relay_process import Processor
from dashboard.relay_resync import Found, Resync, told
from dashboard.relay_status import Reporter

logger = logging.getLogger("ganglion.jobs")

BATCH = 500
MOST = 20_000  # rows that one run of a job looks at
PATIENCE_S = 8.0  # one walk over rows takes no longer: a job ends long before another worker would take it over
SAMPLE_DAYS = 14
SETTLED = dt.timedelta(minutes=1)  # younger changes are the relay's business
LAG_WARNING_MS = 30_000

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "schedules": {"task": "dashboard.jobs.run_schedules", "schedule": 5.0, "options": {"expires": 5}},
    "decisions": {"task": "dashboard.jobs.resend_decisions", "schedule": 5.0, "options": {"expires": 5}},
    "approvals": {"task": "dashboard.jobs.expire_approvals", "schedule": 15.0, "options": {"expires": 15}},
    "consistency": {"task": "dashboard.jobs.check_consistency", "schedule": 30.0, "options": {"expires": 30}},
    "sweep": {"task": "dashboard.jobs.sweep_finished", "schedule": 60.0, "options": {"expires": 60}},
    "retention": {"task": "dashboard.jobs.age_out", "schedule": crontab(minute="17"), "options": {"expires": 3000}},
}


# --- schedules ------------------------------------------------------------------------------


@shared_task(acks_late=True)
def run_schedules() -> int:
    """Submit what is due; two beats, or two workers, never double a run, because its key is schedule and time."""
    submitted = 0
    now = timezone.now()
    catalog.discover()
    for schedule in Schedule.objects.filter(enabled=True).order_by("name"):
        try:
            due = schedules.due_times(schedule, now)
        except CroniterError as error:  # one that was stored before such times were refused
            Schedule.objects.filter(pk=schedule.pk).update(last_error=str(error)[:300])
            continue
        for moment in due:
            submitted += _run(schedule, moment)
    return submitted


def _run(schedule: Schedule, moment: dt.datetime) -> int:
    stamp = moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%MZ")
    values: dict[str, Any] = {"last_run_at": moment, "last_error": ""}
    try:
        values["last_workflow_id"] = core.sync().submit(
            schedule.workflow_type,
            schedule.input,
            key=f"schedule:{schedule.pk}:{stamp}",
            labels={"schedule": schedule.name},
        )
    except TryAgain as error:
        Schedule.objects.filter(pk=schedule.pk).update(last_error=str(error)[:300])
        return 0  # the time stays due
    except GanglionError as error:
        values["last_error"] = str(error)[:300]
        logger.warning("schedule %s could not be submitted for %s: %s", schedule.name, stamp, error)
    with transaction.atomic():
        newer = Schedule.objects.filter(pk=schedule.pk).exclude(last_run_at__gte=moment)
        if newer.update(**values) and not values["last_error"]:
            what = {"type": schedule.workflow_type, "workflow": values["last_workflow_id"], "time": stamp}
            audit.record(f"schedule:{schedule.name}"[:150], "schedule.run", ("schedule", schedule.name), after=what)
    return int(not values["last_error"])


# --- decisions --------------------------------------------------------------------------------


@shared_task(acks_late=True)
def resend_decisions() -> int:
    """Send every decision again that Redis has not answered."""
    return outbox.resend()


@shared_task(acks_late=True)
def expire_approvals() -> int:
    """End the requests for approval that nobody has looked at in time."""
    return approvals.expire()


# --- consistency --------------------------------------------------------------------------------


@shared_task(acks_late=True)
def check_consistency() -> dict[str, int]:
    """Compare the history's living workflows with Redis, and read those again that differ."""
    lag = relay_status.read_lag()
    if not lag.alive:
        logger.warning(
            "no relay has reported for a while: the history stands still; start one with manage.py run_relay"
        )
    elif lag.lag_ms > LAG_WARNING_MS:
        logger.warning("the history is %.0f s behind (%d events): add a relay", lag.lag_ms / 1000, lag.events)
    seen, total = 0, Found()
    for state in LIVING:
        for ids in _walk(f"consistency:{state}", _living(state), "created_at"):
            seen += len(ids)
            found = async_to_sync(_verify)(ids, may_close=lag.alive)
            total = total.plus(found)
    if total.newer or total.rewound or total.closed:
        logger.warning("consistency: %d workflows were behind Redis, %s", total.newer, told(total))
        live.publish(["workflows", "overview", "escalations"])
    return {"seen": seen, "healed": total.newer + total.rewound, "lost": total.closed, "lag_ms": lag.lag_ms}


async def _verify(ids: list[str], *, may_close: bool) -> Found:
    """Bring rows to what Redis holds.

    Only a server that a relay reports to may lose workflows: another one is the wrong server.
    """
    async with Connection.of(current()) as connection:
        sql = sync_to_async(_call, thread_sensitive=True)
        processor = Processor(connection, sql, Reporter(connection, Inspector(connection), "jobs", []))
        resync = Resync(connection, processor, sql)
        await resync.verify(ids, may_close=may_close)
        return resync.found


def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _living(state: WorkflowState) -> QuerySet[Workflow]:
    return Workflow.objects.filter(state=state, updated_at__lt=timezone.now() - SETTLED)


def _walk(name: str, rows: QuerySet[Workflow], column: str) -> Iterator[list[str]]:
    """Ids in the order of a column, in batches; a run looks at ``MOST`` rows, and the next goes on from there."""
    place = cache.get(name)
    deadline = time.monotonic() + PATIENCE_S
    for _ in range(MOST // BATCH):
        if time.monotonic() > deadline:
            break
        later = rows.filter(**{f"{column}__gte": place}) if place else rows
        found = list(later.order_by(column, "pk").values_list("pk", column)[:BATCH])
        if found:
            yield [pk for pk, _ in found]
        if len(found) < BATCH or found[-1][1] == place:
            cache.delete(name)
            return
        place = found[-1][1]
    cache.set(name, place, 3_600)


# --- retention ------------------------------------------------------------------------------------


@shared_task(acks_late=True)
def sweep_finished() -> int:
    """Let Redis forget finished workflows whose last state is in the history, but which a relay did not come to."""
    client = core.sync()
    since = timezone.now() - dt.timedelta(seconds=current().result_ttl_s) - dt.timedelta(hours=1)
    rows = Workflow.objects.filter(finished_at__gt=since, finished_at__lt=timezone.now() - SETTLED)
    rows = rows.filter(archive__journal__isnull=False)
    swept = 0
    for ids in _walk("sweep", rows, "finished_at"):
        left = [found for found in client.inspect.snapshots(ids) if found is not None and found.state.is_final]
        # What has been forgotten has lost its input, so that only a few must be asked for.
        bare = set(WorkflowArchive.objects.filter(pk__in=ids, input="").values_list("pk", flat=True))
        asked = [found for found in left if found.input is not None or found.id in bare]
        waiting = {found.id: found.seq for found in asked if client.call("EXISTS", _journal_key(found.id))}
        if waiting:
            swept += client.commands.forget(waiting)
    if swept:
        logger.info("retention: %d finished workflows left Redis", swept)
    return swept


def _journal_key(workflow_id: str) -> str:
    config = current()
    return Keys(config.prefix, config.shards).journal(workflow_id)


@shared_task(acks_late=True)
def age_out() -> dict[str, int]:
    """Delete history that is older than GANGLION_HISTORY_DAYS, in small transactions; the audit log stays whole."""
    now, deadline = timezone.now(), time.monotonic() + PATIENCE_S
    limit = now - dt.timedelta(days=current().history_days)
    workflows = 0
    while ids := list(
        Workflow.objects.filter(finished_at__lt=limit).order_by("finished_at").values_list("pk", flat=True)[:BATCH]
    ):
        with transaction.atomic():
            Escalation.objects.filter(workflow_id__in=ids).delete()
            Workflow.objects.filter(pk__in=ids).delete()
        workflows += len(ids)
        if time.monotonic() > deadline:
            age_out.delay()  # the rest in a job of its own
            break
    samples = Sample.objects.filter(at__lt=now - dt.timedelta(days=SAMPLE_DAYS)).delete()[0]
    HostEvent.objects.filter(at__lt=limit).delete()
    LoginLink.objects.filter(expires_at__lt=now - dt.timedelta(days=1)).delete()
    LoginFailure.objects.filter(at__lt=now - dt.timedelta(days=1)).delete()
    sessions.clear_expired()
    if connection.vendor == "sqlite" and workflows:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA optimize")
    if workflows:
        logger.info("retention: %d workflows aged out of the history", workflows)
    return {"workflows": workflows, "samples": samples}
