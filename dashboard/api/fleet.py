"""Agents, coordinators and queues over the API."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpRequest
from ninja import Router, Status
from pydantic import Field

from coordination import client as core
from coordination.domain import RemoteAgent
from coordination.errors import BadRequest
from dashboard import onboarding, operations, queries
from dashboard.api import shapes
from dashboard.api.auth import caller, confirmed, may
from dashboard.queries import fleet
from dashboard.redaction import redact, redact_text

router = Router(tags=["agents and coordinators"])


class NotFound(BadRequest):
    """There is no such object."""

    code = "not_found"


class RampIn(shapes.Body):
    """How a task type comes back."""

    ramp_s: float = Field(0.0, ge=0, le=86_400, description="Seconds over which its slots come back.")


@router.get("/agents", auth=may("view"), response=list[dict[str, Any]], summary="List agent instances")
def agents(request: HttpRequest, q: str = "") -> Any:
    """The agent instances in the service registry: every one, or those that fit words or ``capability:value``."""
    return shapes.full(fleet.matching(core.sync().inspect.agents(), q[:200]))


@router.get("/agents/{instance}", auth=may("view"), response=dict[str, Any], summary="Read an agent instance")
def agent(request: HttpRequest, instance: str) -> Any:
    """One agent instance."""
    found = next((view for view in core.sync().inspect.agents() if view.id == instance), None)
    if found is None:
        raise NotFound(f"No agent instance {instance!r} is registered; it may have stopped.")
    return shapes.full(found)


@router.post("/agents/{instance}/drain", auth=may("operate"), response={202: None}, summary="Drain an instance")
def drain(request: HttpRequest, instance: str) -> Any:
    """Let an instance finish what it runs and take nothing new."""
    operations.drain_agent(caller(request), instance, request)
    return Status(202, None)


@router.post("/agents/{instance}/undrain", auth=may("operate"), response={202: None}, summary="End a drain")
def undrain(request: HttpRequest, instance: str) -> Any:
    """Let an instance take tasks again."""
    operations.undrain_agent(caller(request), instance, request)
    return Status(202, None)


@router.get("/queues", auth=may("view"), response=list[dict[str, Any]], summary="List task queues")
def queues(request: HttpRequest) -> Any:
    """Every task type's queue: waiting, delivered, oldest, agents, paused."""
    return shapes.full(core.sync().inspect.queues())


@router.post("/queues/{task_type}/pause", auth=may("operate"), response={202: None}, summary="Pause a task type")
def pause(request: HttpRequest, task_type: str, body: shapes.Because | None = None) -> Any:
    """Stop agents from taking tasks of a type."""
    operations.pause_type(caller(request), task_type, body.reason if body else "", request)
    return Status(202, None)


@router.post("/queues/{task_type}/resume", auth=may("operate"), response={202: None}, summary="Resume a task type")
def resume(request: HttpRequest, task_type: str, body: RampIn | None = None) -> Any:
    """Let agents take tasks of a type again: all at once, or with slots that come back by and by."""
    operations.resume_type(caller(request), task_type, request, body.ramp_s if body else 0.0)
    return Status(202, None)


@router.get("/coordinators", auth=may("view"), response=list[dict[str, Any]], summary="List coordinator hosts")
def coordinators(request: HttpRequest) -> Any:
    """Every coordinator host."""
    return shapes.full(core.sync().inspect.hosts())


@router.get("/remote-agents", auth=may("view"), response=list[dict[str, Any]], summary="List remote agents")
def remote_agents(request: HttpRequest) -> Any:
    """Every registered remote HTTP agent."""
    found = core.sync().inspect.remote_agents()
    return shapes.full([msgspec.structs.replace(one, url=redact_text(one.url)) for one in found])


@router.post("/remote-agents", auth=may("administer"), response={201: None}, summary="Register a remote agent")
def register_remote(request: HttpRequest, body: shapes.RemoteIn) -> Any:
    """Let gateway workers run a remote HTTP agent's task types."""
    confirmed(request)
    operations.register_remote(caller(request), RemoteAgent(**body.dict()), request)
    return Status(201, None)


@router.delete("/remote-agents/{name}", auth=may("administer"), response={204: None}, summary="Remove a remote agent")
def remove_remote(request: HttpRequest, name: str) -> Any:
    """Stop running a remote agent."""
    operations.remove_remote(caller(request), name, request)
    return Status(204, None)


@router.post("/agent-cards", auth=may("administer"), response=dict[str, Any], summary="Read an A2A agent card")
def read_card(request: HttpRequest, body: shapes.CardIn) -> Any:
    """What would be registered for a card, what that changes, and a draft for the next calls."""
    confirmed(request)
    user = caller(request)
    return _proposed(
        onboarding.propose(user, body.url, name=body.name, concurrency=body.concurrency, timeout_s=body.timeout_s)
    )


@router.post("/agent-cards/try", auth=may("administer"), response=dict[str, Any], summary="Try a card's agent")
def try_card(request: HttpRequest, body: shapes.CardTryIn) -> Any:
    """One real call, which a gateway makes; the draft of the answer can be activated."""
    confirmed(request)
    tried = onboarding.attempt(caller(request), body.draft, body.task_type, body.input, request)
    return {**_proposed(tried.proposal), "output": tried.output, "took_ms": tried.took_ms}


@router.post("/agent-cards/activate", auth=may("administer"), response={201: dict[str, Any]}, summary="Activate it")
def activate_card(request: HttpRequest, body: shapes.DraftIn) -> Any:
    """Register the agent of a draft that has answered a call."""
    confirmed(request)
    return Status(201, redact(shapes.full(onboarding.activate(caller(request), body.draft, request))))


def _proposed(proposal: onboarding.Proposal) -> dict[str, Any]:
    return {
        "agent": redact(shapes.full(proposal.remote)),
        "registered": redact(shapes.full(proposal.registered)) if proposal.registered else None,
        "changes": [{"kind": line.kind, "text": line.text} for line in proposal.changes],
        "warnings": proposal.warnings,
        "draft": proposal.draft,
    }


@router.get("/status", auth=may("view"), response=dict[str, Any], summary="The system at a glance")
def status(request: HttpRequest) -> Any:
    """Counts, rates, lag, and whether Redis and the relay are there."""
    seen = queries.overview(minutes=2)
    return {
        "connected": seen.connected,
        "states": {state: count for state, (count, _) in seen.counts.items()},
        "per_minute": seen.per_minute,
        "p50_ms": seen.p50_ms,
        "p95_ms": seen.p95_ms,
        "open_escalations": seen.open_escalations,
        "hosts": len([host for host in seen.hosts if host.alive]),
        "agents": len([view for view in seen.agents if view.alive]),
        "tasks_waiting": sum(queue.waiting for queue in seen.queues),
        "relay": {**shapes.full(seen.relay), "alive": seen.relay.alive},
        "server": seen.server,
    }
