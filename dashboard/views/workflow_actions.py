"""What operators do to one workflow: each a form that is posted, each written into the audit log."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable
from typing import Any

import msgspec
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from coordination.errors import GanglionError
from coordination.restarting import RestartPreview
from dashboard import operations, steering
from dashboard.api_calls import curl
from dashboard.roles import operator_required
from dashboard.views.posting import post_only

_DOUBLE_CLICK_S = 5


def _act(request: HttpRequest, workflow_id: str, act: Callable[[], Any], words: str) -> HttpResponse:
    try:
        act()
    except GanglionError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, words)
    return redirect("workflow", workflow_id=workflow_id)


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()[:500]


@post_only("workflow", "workflow_id")
@operator_required
def cancel(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Ask for the cancellation; tasks under way are told, compensations run."""
    words = _("Cancellation is asked for. Tasks under way are told, and compensations run.")
    act = functools.partial(operations.cancel, request.user, workflow_id, _reason(request), request)
    return _act(request, workflow_id, act, words)


@post_only("workflow", "workflow_id")
@operator_required
def terminate(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """End it at once; nothing is compensated."""
    words = _("It has ended here and now. Nothing was compensated; tasks under way are told to stop.")
    act = functools.partial(steering.terminate, request.user, workflow_id, _reason(request), request)
    return _act(request, workflow_id, act, words)


@post_only("workflow", "workflow_id")
@operator_required
def pause(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Keep it from going on; what runs may finish."""
    words = _("Paused. What runs may finish and is kept; nothing new begins.")
    act = functools.partial(steering.pause, request.user, workflow_id, _reason(request), request)
    return _act(request, workflow_id, act, words)


@post_only("workflow", "workflow_id")
@operator_required
def resume(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Let it go on."""
    act = functools.partial(steering.resume, request.user, workflow_id, request)
    return _act(request, workflow_id, act, _("It goes on."))


@post_only("workflow", "workflow_id")
@operator_required
def signal(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Deliver a signal with an optional JSON payload."""
    name, text = request.POST.get("name", "").strip(), request.POST.get("payload", "").strip()
    try:
        payload = msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError) as error:
        messages.error(request, _("The payload is no JSON: %(error)s. The signal was not sent.") % {"error": error})
        return redirect("workflow", workflow_id=workflow_id)
    if not name:
        messages.error(request, _("A signal needs a name."))
        return redirect("workflow", workflow_id=workflow_id)
    send = functools.partial(operations.signal, request.user, workflow_id, name, payload, request=request)
    return _act(request, workflow_id, send, _("The signal %(name)s is delivered.") % {"name": name})


@post_only("workflow", "workflow_id")
@operator_required
def retry_now(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """End a step's backoff."""
    step = request.POST.get("step", "")
    again = functools.partial(operations.retry_now, request.user, workflow_id, step, request)
    return _act(request, workflow_id, again, _("Step %(step)s is tried again now.") % {"step": step})


@post_only("workflow", "workflow_id")
@operator_required
def rerun(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Start a new workflow with the same input."""
    try:
        once = f"{request.user.pk}-{int(time.time() // _DOUBLE_CLICK_S)}"
        made = steering.rerun(request.user, workflow_id, once, request)
    except GanglionError as error:
        messages.error(request, str(error))
        return redirect("workflow", workflow_id=workflow_id)
    messages.success(request, _("This is a new workflow with the same input."))
    return redirect("workflow", workflow_id=made)


# --- restart from a step ------------------------------------------------------------------


def _digest(preview: RestartPreview) -> str:
    """What a person has seen: when it changes before they confirm, they are shown the new one."""
    seen = [preview.generation, [(one.id, one.state, one.has_run) for one in preview.again]]
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()[:16]


@operator_required
def restart(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Show what a restart from a step would keep and run again; do it when that is confirmed and still true."""
    step = request.POST.get("step") or request.GET.get("step", "")
    drifted = False
    try:
        preview = steering.restart_preview(workflow_id, step)
        if request.method == "POST" and not preview.refused:
            if request.POST.get("seen") == _digest(preview):
                once = _digest(preview)  # a form that is sent twice restarts once
                made = steering.restart(request.user, workflow_id, step, _reason(request), once, request)
                messages.success(request, _("It begins again from step %(step)s.") % {"step": step})
                return redirect("workflow", workflow_id=made)
            drifted = True
    except GanglionError as error:
        messages.error(request, str(error))
        return redirect("workflow", workflow_id=workflow_id)
    context = {
        "workflow_id": workflow_id, "step": step, "preview": preview, "seen": _digest(preview), "drifted": drifted,
        "repeats": [one for one in preview.again if one.has_run],
        "call": curl(f"/workflows/{workflow_id}/restart", {"step": step}),
    }  # fmt: skip
    response = render(request, "dashboard/restart.html", context, status=409 if drifted else 200)
    response["Cache-Control"] = "no-store"
    return response
