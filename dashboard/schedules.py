"""Schedules: which workflow is submitted when; changes are audited."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from croniter import CroniterError, croniter
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from coordination import catalog
from coordination.errors import BadRequest
from dashboard import audit
from dashboard.models import Schedule

_RANDOM = re.compile(r"\b[RH]\b", re.IGNORECASE)


class ScheduleNotFound(BadRequest):
    """No schedule has this id."""

    code = "not_found"


def check_cron(cron: str) -> None:
    """Refuse what is no cron expression of five fields, is another at each reading, or names a day that never comes.

    Raises:
        BadRequest: Says what is expected.
    """
    if len(cron.split()) != 5 or _RANDOM.search(cron) or not croniter.is_valid(cron):
        raise BadRequest(f"{cron!r} is no cron expression of five fields, as '*/15 * * * *' or '0 6 * * 1-5'.")
    try:
        croniter(cron, timezone.now()).get_next()
        croniter(cron, timezone.now()).get_prev()
    except CroniterError:
        raise BadRequest(f"The time {cron!r} never comes.") from None


def next_time(schedule: Schedule, after: dt.datetime | None = None) -> dt.datetime | None:
    """When a schedule is due next, or nothing while it is switched off, and where that time never comes."""
    if not schedule.enabled:
        return None
    begin = after or max(timezone.now(), schedule.last_run_at or schedule.created_at)
    try:
        found: dt.datetime = croniter(schedule.cron, begin).get_next(dt.datetime)
    except CroniterError:
        return None
    return found


def due_times(schedule: Schedule, now: dt.datetime, most: int = 1) -> list[dt.datetime]:
    """The latest times up to now that have not been submitted, oldest first; missed ones are not made up in bulk."""
    since = schedule.last_run_at or schedule.created_at
    times: list[dt.datetime] = []
    backwards = croniter(schedule.cron, now + dt.timedelta(microseconds=1))
    while len(times) < most:
        moment: dt.datetime = backwards.get_prev(dt.datetime)
        if moment <= since:
            break
        times.append(moment)
    return times[::-1]


def save(
    user: Any,
    *,
    name: str,
    workflow_type: str,
    cron: str,
    value: Any = None,
    enabled: bool = True,
    schedule_id: int | None = None,
    request: HttpRequest | None = None,
) -> Schedule:
    """Make a schedule, or change one.

    Raises:
        BadRequest: Name taken, cron expression wrong.
        UnknownWorkflowType: Nothing installed defines the type.
        ScheduleNotFound: The one to change is gone.
    """
    known = schedule_id is not None and Schedule.objects.filter(pk=schedule_id, cron=cron).exists()
    if enabled or not known:  # one that was stored before may be switched off
        check_cron(cron)
    catalog.newest(workflow_type)
    values = {"name": name.strip(), "workflow_type": workflow_type, "cron": cron, "input": value, "enabled": enabled}
    try:
        with transaction.atomic():
            if schedule_id is None:
                before = None
                schedule = Schedule.objects.create(created_by=user.get_username(), **values)
            else:
                schedule = get(schedule_id)
                before = _shown(schedule)
                begins = not schedule.enabled or (schedule.cron, schedule.workflow_type) != (cron, workflow_type)
                for field, new in values.items():
                    setattr(schedule, field, new)
                if begins and enabled:
                    schedule.last_run_at = timezone.now()  # times before the change, or while it was off, are none
                schedule.save()
            action = "schedule.create" if schedule_id is None else "schedule.change"
            target = ("schedule", schedule.name)
            audit.record(user, action, target, before=before, after=_shown(schedule), request=request)
    except IntegrityError:
        raise BadRequest(f"There is already a schedule with the name {name.strip()!r}.") from None
    return schedule


def get(schedule_id: int) -> Schedule:
    """A schedule by its id."""
    schedule = Schedule.objects.filter(pk=schedule_id).first()
    if schedule is None:
        raise ScheduleNotFound(f"There is no schedule {schedule_id}.")
    return schedule


def delete(user: Any, schedule_id: int, request: HttpRequest | None = None) -> None:
    """Take a schedule away; workflows that it has submitted go on."""
    with transaction.atomic():
        schedule = get(schedule_id)
        target = ("schedule", schedule.name)
        audit.record(user, "schedule.delete", target, before=_shown(schedule), request=request)
        schedule.delete()


def _shown(schedule: Schedule) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "workflow_type": schedule.workflow_type,
        "cron": schedule.cron,
        "input": schedule.input,
        "enabled": schedule.enabled,
    }
