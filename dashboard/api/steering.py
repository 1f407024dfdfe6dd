"""Steering one workflow over the API: pause, resume, terminate, restart, rerun, and why it waits."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status
from pydantic import Field

from coordination import client as core
from coordination.domain import FINAL_STATES
from coordination.errors import WorkflowNotFound
from dashboard import queries, steering
from dashboard.api import shapes
from dashboard.api.auth import caller, may
from dashboard.redaction import redact

router = Router(tags=["workflows"])


class RestartIn(shapes.Body):
    """From where a workflow begins anew."""

    step: str = Field(max_length=80, examples=["2"])
    reason: str = Field("", max_length=1000)
    request_id: str = Field("", max_length=100, description="The same id has one effect, however often it is sent.")


class RerunIn(shapes.Body):
    """A repetition."""

    request_id: str = Field("", max_length=100, description="The same id has one effect, however often it is sent.")


@router.post("/workflows/{workflow_id}/pause", auth=may("operate"), response={202: None}, summary="Pause a workflow")
def pause(request: HttpRequest, workflow_id: str, body: shapes.Because | None = None) -> Any:
    """Hold a workflow: nothing new of it begins, what runs may finish."""
    steering.pause(caller(request), workflow_id, body.reason if body else "", request)
    return Status(202, None)


@router.post("/workflows/{workflow_id}/resume", auth=may("operate"), response={202: None}, summary="Resume a workflow")
def resume(request: HttpRequest, workflow_id: str) -> Any:
    """Let a paused workflow go on; timers that came due meanwhile fire now."""
    steering.resume(caller(request), workflow_id, request)
    return Status(202, None)


@router.post(
    "/workflows/{workflow_id}/terminate", auth=may("operate"), response={202: None}, summary="Terminate a workflow"
)
def terminate(request: HttpRequest, workflow_id: str, body: shapes.Because | None = None) -> Any:
    """End a workflow at once: none of its code runs any more, not even compensations."""
    steering.terminate(caller(request), workflow_id, body.reason if body else "", request)
    return Status(202, None)


@router.post(
    "/workflows/{workflow_id}/restart",
    auth=may("operate"),
    response={202: shapes.Accepted},
    summary="Restart from a step",
)
def restart(request: HttpRequest, workflow_id: str, body: RestartIn) -> Any:
    """Keep what was asked for before a step, and begin anew from it.

    A workflow that lives goes on itself; for one that has ended a new one begins, whose id is answered.
    """
    found = steering.restart(caller(request), workflow_id, body.step, body.reason, body.request_id, request)
    return Status(202, _accepted(request, found))


@router.get(
    "/workflows/{workflow_id}/restart-preview",
    auth=may("view"),
    response=dict[str, Any],
    summary="What a restart would do",
)
def restart_preview(request: HttpRequest, workflow_id: str, step: str) -> Any:
    """Steps that are kept, steps that run again and whether they have run before, and why it cannot be done if so."""
    return shapes.full(redact(steering.restart_preview(workflow_id, step)))


@router.post(
    "/workflows/{workflow_id}/rerun", auth=may("operate"), response={201: shapes.Accepted}, summary="Rerun a workflow"
)
def rerun(request: HttpRequest, workflow_id: str, body: RerunIn | None = None) -> Any:
    """Submit a new workflow with the same input."""
    found = steering.rerun(caller(request), workflow_id, body.request_id if body else "", request)
    return Status(201, _accepted(request, found))


@router.get(
    "/workflows/{workflow_id}/why", auth=may("view"), response=list[dict[str, Any]], summary="Why a workflow waits"
)
def why(request: HttpRequest, workflow_id: str) -> Any:
    """One reason for each step that has not ended, those of the whole workflow first; empty when it has ended."""
    found = core.sync().inspect.why(workflow_id)
    if not found and core.sync().inspect.snapshot(workflow_id) is None:
        detail = queries.workflow(workflow_id, with_journal=False)
        if detail is None or detail.row.state not in FINAL_STATES:
            raise WorkflowNotFound(f"There is no workflow {workflow_id!r}.")
    return shapes.full(redact(found))


def _accepted(request: HttpRequest, workflow_id: str) -> dict[str, str]:
    return {"id": workflow_id, "url": request.build_absolute_uri(f"/workflows/{workflow_id}/")}
