"""One workflow: steps, timeline, journal, input and result; cancel, signal, retry now."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from coordination.domain import StepKind, StepState, StepView
from coordination.errors import GanglionError
from dashboard import graph, operations, queries, timeline
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import WorkflowDetail
from dashboard.roles import operator_required, viewer_required
from dashboard.views.posting import post_only

TABS = (("steps", "Steps"), ("timeline", "Timeline"), ("journal", "Journal"), ("data", "Input and result"))
JOURNAL_ROWS = 200
PARTS = ("input", "result", "journal", "steps")


class Wait(NamedTuple):
    """Why the workflow stands where it stands, in one sentence with a link."""

    icon: str
    tone: str
    words: str
    href: str = ""
    at_ms: int = 0  # a moment that the sentence ends with


def _wait(step: StepView, address: str) -> Wait | None:
    here = f"{address}?{urlencode({'step': step.id})}"
    last = step.attempts[-1] if step.attempts else None
    match step.state:
        case StepState.RUNNING:
            who = f" on {last.agent}" if last and last.agent else ""
            note = f" ({step.progress_note})" if step.progress_note else ""
            return Wait(
                "loader-2", "running", f"{step.name} runs{who}{note}, since", here, last.started_ms if last else 0
            )
        case StepState.QUEUED:
            return Wait(
                "circle-dashed",
                "idle",
                f"{step.name} waits for a free agent since",
                here,
                last.queued_ms if last else 0,
            )
        case StepState.BACKOFF:
            tries = last.number if last else 0
            words = f"{step.name} failed at attempt {tries} and is tried again"
            return Wait("refresh", "waiting", words, here, step.next_retry_ms)
        case StepState.ESCALATED:
            href = reverse("escalation", args=[step.escalation_id]) if step.escalation_id else here
            return Wait("user-exclamation", "human", f"{step.name} waits for a person since", href, step.started_ms)
        case StepState.WAITING if step.kind is StepKind.CHILD:
            return Wait(
                "git-fork", "waiting", f"waits for its child {step.name}", reverse("workflow", args=[step.child_id])
            )
        case StepState.WAITING if step.kind is StepKind.SIGNAL:
            return Wait("bell", "waiting", f"waits for the signal {step.name}", here, step.due_ms)
        case StepState.WAITING:
            return Wait("clock-pause", "waiting", f"{step.name} goes on", here, step.due_ms)
        case _:
            return None


def _waits(detail: WorkflowDetail, address: str) -> list[Wait]:
    if detail.row.finished_at:
        return []
    found = [wait for step in detail.steps if not step.finished_ms and (wait := _wait(step, address))]
    if not found and detail.row.state == "queued":
        found = [Wait("circle-dashed", "idle", "waits for a coordinator host with room", reverse("coordinators"))]
    return found


def _selected(steps: list[StepView], wanted: str) -> StepView | None:
    """The step that was asked for, else the one that needs looking at most."""
    by_id = {step.id: step for step in steps}
    if wanted in by_id:
        return by_id[wanted]
    urgency = (StepState.ESCALATED, StepState.FAILED, StepState.BACKOFF, StepState.RUNNING, StepState.QUEUED)
    for state in urgency:
        for step in steps:
            if step.state is state:
                return step
    return steps[-1] if steps else None


def _context(visit: Visit) -> dict[str, Any]:
    workflow_id = visit.kwargs["workflow_id"]
    detail = queries.workflow(workflow_id)
    if detail is None:
        raise Http404(f"There is no workflow {workflow_id!r}: neither Redis nor the history knows it.")
    row = detail.row
    address = reverse("workflow", args=[workflow_id])
    tab = visit.query.get("tab", "steps")
    tab = tab if tab in dict(TABS) else "steps"
    step = _selected(detail.steps, visit.query.get("step", ""))
    now_ms = int(time.time() * 1000)
    context: dict[str, Any] = {
        "detail": detail, "row": row, "tab": tab, "step": step, "address": address,
        "tabs": [(name, words, f"{address}?tab={name}") for name, words in TABS],
        "waits": _waits(detail, address)[:5], "open": row.finished_at is None, "settled": row.finished_at is not None,
        "open_escalations": [one for one in detail.escalations if one.state == "open"],
        "spent_ms": row.duration_ms if row.finished_at else None,
    }  # fmt: skip
    if tab == "steps":
        chosen = step.id if step else ""
        link = lambda one: f"{address}?{urlencode({'step': one.id})}"  # noqa: E731
        context["graph"] = graph.draw(detail.steps, chosen, link, now_ms) if detail.steps else ""
    elif tab == "timeline" and detail.steps:
        begin = int(row.created_at.timestamp() * 1000)
        end = int(row.finished_at.timestamp() * 1000) if row.finished_at else now_ms
        last = max((s.finished_ms for s in detail.steps), default=0)
        context["timeline"] = timeline.draw(
            detail.steps, detail.journal, begin, max(end, last), row.finished_at is None
        )
    elif tab == "journal":
        kind = visit.query.get("kind", "")
        rows = [entry for entry in detail.journal if not kind or entry.kind == kind]
        shown = rows if visit.query.get("all") else rows[-JOURNAL_ROWS:]
        context |= {
            "entries": list(reversed(shown)), "entries_hidden": len(rows) - len(shown), "kind": kind,
            "kinds": sorted({entry.kind for entry in detail.journal}),
        }  # fmt: skip
    return context


PAGE = register(
    "workflow",
    LivePage(
        name="workflow",
        template="dashboard/workflow.html",
        context=_context,
        partials=("wf-head", "wf-body"),
        topics=lambda visit: {f"workflow.{visit.kwargs['workflow_id']}"},
        tick_s=1.0,
    ),
)


@require_GET
@viewer_required
def workflow(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """The page of one workflow."""
    return PAGE.respond(request, workflow_id=workflow_id)


@require_GET
@viewer_required
def download(request: HttpRequest, workflow_id: str, part: str) -> HttpResponse:
    """A part of a workflow as a JSON file, redacted like the page."""
    detail = queries.workflow(workflow_id)
    if detail is None or part not in PARTS:
        raise Http404(f"There is no {part} of a workflow {workflow_id!r}.")
    data = msgspec.json.format(msgspec.json.encode(getattr(detail, part)), indent=2)
    response = HttpResponse(data, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{part}.json"'
    response["Cache-Control"] = "no-store"
    return response


def _act(request: HttpRequest, workflow_id: str, act: Callable[[], None], words: str) -> HttpResponse:
    try:
        act()
    except GanglionError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, words)
    return redirect("workflow", workflow_id=workflow_id)


@post_only("workflow", "workflow_id")
@operator_required
def cancel(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Ask for the cancellation; tasks under way are told, compensations run."""
    reason = request.POST.get("reason", "").strip()[:500]
    words = "Cancellation is asked for. Tasks under way are told, and compensations run."
    return _act(request, workflow_id, lambda: operations.cancel(request.user, workflow_id, reason, request), words)


@post_only("workflow", "workflow_id")
@operator_required
def signal(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Deliver a signal with an optional JSON payload."""
    name, text = request.POST.get("name", "").strip(), request.POST.get("payload", "").strip()
    try:
        payload = msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError) as error:
        messages.error(request, f"The payload is no JSON: {error}. The signal was not sent.")
        return redirect("workflow", workflow_id=workflow_id)
    if not name:
        messages.error(request, "A signal needs a name.")
        return redirect("workflow", workflow_id=workflow_id)
    send = functools.partial(operations.signal, request.user, workflow_id, name, payload, request=request)
    return _act(request, workflow_id, send, f"The signal {name} is delivered.")


@post_only("workflow", "workflow_id")
@operator_required
def retry_now(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """End a step's backoff."""
    step = request.POST.get("step", "")
    again = functools.partial(operations.retry_now, request.user, workflow_id, step, request)
    return _act(request, workflow_id, again, f"Step {step} is tried again now.")
