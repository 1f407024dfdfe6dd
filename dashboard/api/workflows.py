"""Workflows over the API."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import msgspec
from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field, ValidationInfo, field_validator

from coordination import catalog
from coordination import client as core
from coordination.domain import WorkflowState
from coordination.errors import ResultPending, WorkflowNotFound
from dashboard import audit, operations, queries
from dashboard.api import shapes
from dashboard.api.auth import caller, may, permitted
from dashboard.models import Workflow
from dashboard.queries.workflows import AGES, NEEDS, SORTS
from dashboard.redaction import redact

router = Router(tags=["workflows"])
LONGEST_WAIT_S = 30.0
MOST_WAITS = 64  # callers that wait for results at the same time; each holds one of the process's threads
_waits = threading.BoundedSemaphore(MOST_WAITS)


class ListQuery(Schema):
    """How to narrow down and order a list."""

    state: str = Field("", description="One or more states, comma between them.")
    type: str = ""
    version: int = Field(0, ge=0, description="Of that type; 0: all.")
    age: str = Field("", description=f"Since the submit: {', '.join(AGES)}")
    q: str = Field("", description="Words, or their beginnings, of id and input.")
    needs: str = Field("", description="retrying, human or no_agent")
    owner: str = ""
    parent: str = ""
    since: str = Field("", description="Submitted at or after this ISO time.")
    until: str = ""
    sort: str = Field("-created", description="created, finished, duration, type or state; - before it: descending")
    cursor: str = ""
    limit: int = Field(50, ge=1, le=500)

    @field_validator("state", "needs", "sort", "age")
    @classmethod
    def _known(cls, value: str, about: ValidationInfo) -> str:
        """A program that narrows a list by a word that does not exist must not get everything."""
        words = _WORDS[about.field_name or ""]
        for part in value.split(","):
            name = part.strip().removeprefix("-") if about.field_name == "sort" else part.strip()
            if name and name not in words:
                raise ValueError(f"{name!r} is none of {', '.join(words)}")
        return value

    @field_validator("since", "until")
    @classmethod
    def _time(cls, value: str) -> str:
        if value:
            dt.datetime.fromisoformat(value)
        return value


_WORDS = {
    "state": tuple(state.value for state in WorkflowState),
    "needs": NEEDS,
    "sort": tuple(SORTS),
    "age": tuple(AGES),
}


@router.post("/workflows", auth=may("operate"), response={201: shapes.Accepted}, summary="Submit a workflow")
def submit(request: HttpRequest, body: shapes.Submission) -> Any:
    """Accept a workflow, exactly once for each key."""
    new_id = operations.submit(
        caller(request),
        body.type,
        body.input,
        key=body.key,
        workflow_id=body.id,
        deadline_s=body.deadline_s,
        labels=body.labels or None,
        request=request,
    )
    return Status(201, {"id": new_id, "url": request.build_absolute_uri(f"/workflows/{new_id}/")})


@router.get("/workflows", auth=may("view"), response=shapes.WorkflowList, summary="List workflows")
def list_workflows(request: HttpRequest, wanted: Query[ListQuery]) -> Any:
    """A page of the workflows that match."""
    params = {name: str(value) for name, value in wanted.dict(exclude={"cursor", "limit"}).items()}
    page = queries.workflows(
        queries.WorkflowFilter.from_params(params), cursor=wanted.cursor, limit=wanted.limit, count=not wanted.cursor
    )
    return {
        "items": page.rows,
        "next": page.next,
        "previous": page.previous,
        "total": page.total,
        "capped": page.capped,
    }


@router.get("/workflows/{workflow_id}", auth=may("view"), response=shapes.WorkflowFull, summary="Read a workflow")
def get_workflow(request: HttpRequest, workflow_id: str, include: str = "") -> Any:
    """A workflow with its steps; with ``include=journal`` also with its journal."""
    wants_journal = "journal" in include.split(",")
    detail = queries.workflow(workflow_id)
    if detail is None:
        raise WorkflowNotFound(f"There is no workflow {workflow_id!r}.")
    return {
        **_columns(detail.row),
        "input": detail.input,
        "result": detail.result,
        "failure": shapes.full(detail.error) if detail.error else None,
        "steps": shapes.full(detail.steps),
        "journal": shapes.full(detail.journal) if wants_journal else None,
        "stale": detail.stale,
    }


def _columns(row: Workflow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in shapes.WorkflowOut.model_fields}


@router.get(
    "/workflows/{workflow_id}/result",
    auth=may("view"),
    response={200: shapes.ResultOut, 202: shapes.Problem},
    summary="Wait for a workflow's result",
)
def get_result(request: HttpRequest, workflow_id: str, wait_s: float = 0.0) -> Any:
    """The result, waiting for up to 30 s; 202 while there is none, at once where too many wait already.

    Operators (by role, and by scope of their token) get it with the secrets it may hold, and the audit log says so.
    """
    client = core.sync()
    snapshot = client.inspect.snapshot(workflow_id)
    if snapshot is not None and not snapshot.state.is_final and wait_s > 0 and _waits.acquire(blocking=False):
        try:
            snapshot = _wait(client, workflow_id, min(wait_s, LONGEST_WAIT_S))
        finally:
            _waits.release()
    if snapshot is None:
        return _from_history(workflow_id)
    if not snapshot.state.is_final:
        words = "waits for a person" if snapshot.state is WorkflowState.NEEDS_HUMAN else f"is {snapshot.state}"
        raise ResultPending(f"Workflow {workflow_id} {words}; it has no result yet.")
    shown = redact(snapshot)
    if permitted(request, "operate") and (shown.result != snapshot.result or shown.error != snapshot.error):
        audit.record(caller(request), "workflow.reveal", ("workflow", workflow_id), request=request)
        shown = snapshot
    error = shapes.full(shown.error) if shown.error else None
    return {"id": workflow_id, "state": snapshot.state.value, "result": shown.result, "error": error}


def _wait(client: Any, workflow_id: str, wait_s: float) -> Any:
    try:
        client.result(workflow_id, timeout_s=wait_s)
    except ResultPending:
        pass
    except Exception as error:
        if getattr(error, "code", "") in ("server_unavailable", "outcome_unknown"):
            raise
        # failed and cancelled workflows end the wait by an error; their state says the same
    return client.inspect.snapshot(workflow_id)


def _from_history(workflow_id: str) -> dict[str, Any]:
    detail = queries.workflow(workflow_id, with_journal=False)
    if detail is None:
        raise WorkflowNotFound(f"There is no workflow {workflow_id!r}.")
    if detail.row.finished_at is None:
        raise ResultPending(f"Workflow {workflow_id} is {detail.row.state}; it has no result yet.")
    error = shapes.full(detail.error) if detail.error else None
    return {"id": workflow_id, "state": detail.row.state, "result": detail.result, "error": error}


@router.post("/workflows/{workflow_id}/signal", auth=may("operate"), response={204: None}, summary="Send a signal")
def send_signal(request: HttpRequest, workflow_id: str, body: shapes.SignalIn) -> Any:
    """Deliver a signal, exactly once for each signal id."""
    user = caller(request)
    operations.signal(user, workflow_id, body.name, body.payload, signal_id=body.signal_id, request=request)
    return Status(204, None)


@router.post("/workflows/{workflow_id}/cancel", auth=may("operate"), response={202: None}, summary="Cancel a workflow")
def cancel(request: HttpRequest, workflow_id: str, body: shapes.Because | None = None) -> Any:
    """Ask for a workflow's end."""
    operations.cancel(caller(request), workflow_id, body.reason if body else "", request)
    return Status(202, None)


@router.post("/workflows/{workflow_id}/retry", auth=may("operate"), response={202: None}, summary="Retry a step now")
def retry_now(request: HttpRequest, workflow_id: str, body: shapes.RetryIn) -> Any:
    """End a step's waiting time before its next attempt."""
    operations.retry_now(caller(request), workflow_id, body.step, request)
    return Status(202, None)


@router.get("/workflow-types", auth=may("view"), response=list[shapes.TypeOut], summary="What can be submitted")
def types(request: HttpRequest) -> Any:
    """The workflow types that this installation defines, with the shape of their input."""
    catalog.discover()
    return [_type(name) for name in sorted(catalog.workflow_types())]


def _type(name: str) -> dict[str, Any]:
    cls = catalog.newest(name)
    declared = getattr(cls, "input_type", Any)
    try:
        schema = msgspec.json.schema(declared)
    except TypeError:
        schema = None
    words = (cls.__doc__ or "").strip().partition("\n")[0]
    return {"type": name, "version": cls.version, "input_schema": schema, "description": words}
