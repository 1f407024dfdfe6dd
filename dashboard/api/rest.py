"""Schedules and documents over the API."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpRequest
from ninja import File, Router, Status, UploadedFile

from coordination.errors import BadRequest
from dashboard import documents, schedules
from dashboard.api import shapes
from dashboard.api.auth import caller, may
from dashboard.models import Schedule
from dashboard.redaction import redact, restore

router = Router()


def _shown(schedule: Schedule) -> dict[str, Any]:
    names = [name for name in shapes.ScheduleOut.model_fields if name != "next_run_at"]
    found = {name: getattr(schedule, name) for name in names}
    return {**found, "input": redact(schedule.input), "next_run_at": schedules.next_time(schedule)}


@router.get("/schedules", auth=may("view"), response=list[shapes.ScheduleOut], tags=["schedules"], summary="List")
def list_schedules(request: HttpRequest) -> Any:
    """Every schedule, by name."""
    return [_shown(schedule) for schedule in Schedule.objects.order_by("name")]


@router.post(
    "/schedules", auth=may("administer"), response={201: shapes.ScheduleOut}, tags=["schedules"], summary="Make one"
)
def create_schedule(request: HttpRequest, body: shapes.ScheduleIn) -> Any:
    """Make a schedule."""
    return Status(201, _shown(_save(request, body, None)))


@router.put(
    "/schedules/{int:schedule_id}",
    auth=may("administer"),
    response=shapes.ScheduleOut,
    tags=["schedules"],
    summary="Change one",
)
def change_schedule(request: HttpRequest, schedule_id: int, body: shapes.ScheduleIn) -> Any:
    """Change a schedule."""
    return _shown(_save(request, body, schedule_id))


def _save(request: HttpRequest, body: shapes.ScheduleIn, schedule_id: int | None) -> Schedule:
    return schedules.save(
        caller(request),
        name=body.name,
        workflow_type=body.workflow_type,
        cron=body.cron,
        value=_whole(body.input, schedule_id),
        enabled=body.enabled,
        schedule_id=schedule_id,
        request=request,
    )


def _whole(value: Any, schedule_id: int | None) -> Any:
    """The input with the secrets that were not shown to whoever changes it."""
    return value if schedule_id is None else restore(value, schedules.get(schedule_id).input)


@router.delete(
    "/schedules/{int:schedule_id}", auth=may("administer"), response={204: None}, tags=["schedules"], summary="Delete"
)
def delete_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """Take a schedule away."""
    schedules.delete(caller(request), schedule_id, request)
    return Status(204, None)


@router.post(
    "/documents",
    auth=may("operate"),
    response={201: shapes.DocumentOut},
    tags=["documents"],
    summary="Store a document",
)
def upload(request: HttpRequest, file: File[UploadedFile], kinds: str = "pdf,docx,txt") -> Any:
    """Store a document (multipart field ``file``) and get the reference that goes into a workflow's input."""
    welcome = [kind.strip() for kind in kinds.split(",") if kind.strip()]
    unknown = [kind for kind in welcome if kind not in documents.MEDIA_TYPES]
    if unknown or not welcome:
        raise BadRequest(f"kinds must be some of {', '.join(documents.MEDIA_TYPES)}.")
    return Status(201, msgspec.to_builtins(documents.accept(file, welcome)))
