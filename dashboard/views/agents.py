"""Agents: what is registered, how it is, what waits for it; pause, drain, remote agents, test calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET

from coordination import client as core
from coordination.domain import AgentView, RemoteAgent
from coordination.errors import AgentError, GanglionError, ServerUnavailable
from dashboard import accounts, operations, queries, type_courses, wording
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import fleet
from dashboard.redaction import redact_text
from dashboard.roles import admin_required, operator_required, viewer_required
from dashboard.views.posting import post_only

# how long a resumed type may take until it has all its slots back, in s
RAMPS = (
    ("0", gettext_noop("all slots at once")),
    ("30", gettext_noop("over 30 s")),
    ("120", gettext_noop("over 2 min")),
    ("600", gettext_noop("over 10 min")),
    ("1800", gettext_noop("over 30 min")),
)


def _remote() -> list[RemoteAgent]:
    try:
        return [msgspec.structs.replace(one, url=redact_text(one.url)) for one in core.sync().inspect.remote_agents()]
    except ServerUnavailable:
        return []


def _with_silent(agents: list[AgentView]) -> list[AgentView]:
    """Those that are registered, and those that were until they fell silent a while ago."""
    there = {agent.id for agent in agents}
    return [*agents, *(agent for agent in fleet.buried() if agent.id not in there)]


def _list_context(visit: Visit) -> dict[str, Any]:
    now = queries.live()
    alive = [agent for agent in now.agents if agent.alive]
    text = visit.query.get("q", "").strip()[:200]
    agents = _with_silent(now.agents) if now.connected else []
    rows = fleet.type_rows(agents, now.queues, type_courses.read() if now.connected else {})
    return {
        "connected": now.connected,
        "types": fleet.search(rows, text),
        "text": text,
        "all_types": len(rows),
        "agents": agents,
        "alive": len(alive),
        "frozen": sum(agent.health == "frozen" for agent in alive),
        "slots": sum(agent.concurrency for agent in alive),
        "load": sum(agent.load for agent in alive),
        "waiting": sum(queue.waiting for queue in now.queues),
        "remote": _remote() if now.connected else [],
        "ramps": [(seconds, _(words)) for seconds, words in RAMPS],
        "most_causes": fleet.CAUSES,
    }


LIST = register(
    "agents",
    LivePage(
        name="agents",
        template="dashboard/agents.html",
        context=_list_context,
        partials=("ag-list", "ag-remote"),
        topics=lambda visit: {"agents"},
        tick_s=1.0,
    ),
)


def _one_context(visit: Visit) -> dict[str, Any]:
    instance = visit.kwargs["instance"]
    now = queries.live()
    agent = next((one for one in _with_silent(now.agents) if one.id == instance), None)
    if agent is None and now.connected:
        raise Http404(
            _("No agent instance %(instance)s is registered. Names of instances are never used twice; it has gone.")
            % {"instance": repr(instance)}
        )
    return {"agent": agent, "instance": instance, "connected": now.connected}


ONE = register(
    "agent",
    LivePage(
        name="agent",
        template="dashboard/agent.html",
        context=_one_context,
        partials=("ag-one",),
        topics=lambda visit: {"agents"},
        tick_s=1.0,
    ),
)


@require_GET
@viewer_required
def agents(request: HttpRequest) -> HttpResponse:
    """The registry."""
    return LIST.respond(request, {"remote_form": {}, "confirm": not accounts.is_fresh(request)})


@require_GET
@viewer_required
def agent(request: HttpRequest, instance: str) -> HttpResponse:
    """One instance: what it can, what it does right now."""
    return ONE.respond(request, instance=instance)


def _act(request: HttpRequest, act: Callable[[], None], words: str, instance: str = "") -> HttpResponse:
    try:
        act()
    except GanglionError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, words)
    return redirect("agent", instance=instance) if instance else redirect("agents")


@post_only("agents")
@operator_required
def pause(request: HttpRequest, task_type: str) -> HttpResponse:
    """Stop agents from taking tasks of a type."""
    words = _("%(task_type)s is paused. What runs goes on; what waits keeps waiting and uses up no attempt.") % {
        "task_type": task_type
    }
    reason = request.POST.get("reason", "").strip()[:500]
    return _act(request, lambda: operations.pause_type(request.user, task_type, reason, request), words)


@post_only("agents")
@operator_required
def resume(request: HttpRequest, task_type: str) -> HttpResponse:
    """Let agents take tasks of a type again, all at once or by and by."""
    ramp = request.POST.get("ramp_s", "")
    ramp_s = float(ramp) if ramp in dict(RAMPS) else 0.0
    words = _("%(task_type)s goes on.") % {"task_type": task_type}
    if ramp_s:
        words = _("%(task_type)s goes on; its slots come back over %(period)s.") % {
            "task_type": task_type,
            "period": wording.period(int(ramp_s)),
        }
    return _act(request, lambda: operations.resume_type(request.user, task_type, request, ramp_s), words)


@post_only("agents")
@operator_required
def drain(request: HttpRequest, instance: str) -> HttpResponse:
    """Let an instance finish what it runs and take nothing new."""
    words = _("It finishes what it runs and takes nothing new.")
    return _act(request, lambda: operations.drain_agent(request.user, instance, request), words, instance)


@post_only("agents")
@operator_required
def undrain(request: HttpRequest, instance: str) -> HttpResponse:
    """Let an instance take tasks again."""
    words = _("It takes tasks again.")
    return _act(request, lambda: operations.undrain_agent(request.user, instance, request), words, instance)


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.replace("\n", ",").split(",") if part.strip()))


def _capabilities(text: str) -> dict[str, list[str]]:
    """``kind: nda, lease`` lines as a table."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, colon, values = line.partition(":")
        if line.strip() and not colon:
            raise ValueError(_("“%(line)s” has no colon; write for example: kind: nda, lease") % {"line": line.strip()})
        if name.strip():
            found[name.strip()] = _listed(values)
    return found


@post_only("agents")
@admin_required
@sensitive_post_parameters("password")
def register_remote(request: HttpRequest) -> HttpResponse:
    """Register a remote HTTP agent; what does not fit is said beside the form.

    It sends payloads to a place outside, so whoever signed in a while ago gives the password again.
    """
    said = {
        name: request.POST.get(name, "").strip()
        for name in ("name", "url", "types", "capabilities", "concurrency", "timeout_s")
    }
    try:
        accounts.confirm(request, request.POST.get("password", ""))
        remote = RemoteAgent(
            name=said["name"],
            url=said["url"],
            types=_listed(said["types"]),
            capabilities=_capabilities(said["capabilities"]),
            concurrency=int(said["concurrency"] or 4),
            timeout_s=float(said["timeout_s"] or 30),
        )
        operations.register_remote(request.user, remote, request)
    except (GanglionError, AgentError, ValueError) as error:
        fault = str(error)
        if fault.startswith(("invalid literal", "could not convert")):
            fault = _("Concurrency and time limit are numbers.")
        more = {"remote_form": said, "remote_fault": fault, "confirm": not accounts.is_fresh(request)}
        response = LIST.respond(request, more)
        response.status_code = 422
        return response
    messages.success(
        request,
        _("%(remote)s is registered. A gateway worker runs its tasks from now on; try a test call.")
        % {"remote": remote.name},
    )
    return redirect("agents")


@post_only("agents")
@admin_required
def remove_remote(request: HttpRequest, name: str) -> HttpResponse:
    """Stop running a remote agent."""
    return _act(
        request,
        lambda: operations.remove_remote(request.user, name, request),
        _("%(name)s is removed.") % {"name": name},
    )
