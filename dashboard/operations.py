"""What operators do to workflows and agents, each written to the audit log with who, what and from where.

The entry and the command succeed together: a command that Redis refuses leaves no entry, and an audit
log that cannot be written stops the command. Where nobody knows whether Redis has done it, the entry stays,
and a second one says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from agents import addresses
from coordination import client as core
from coordination.config import current
from coordination.domain import FINAL_STATES, RemoteAgent
from coordination.errors import AgentError, BadRequest, OutcomeUnknown, WorkflowFinished, WorkflowNotFound
from dashboard import audit, live
from dashboard.api import limits
from dashboard.models import Workflow
from dashboard.wording import named

_UNKNOWN = {"outcome": "unknown"}
SUBMITS_PER_MINUTE = 600  # by the forms of one person


@contextmanager
def audited(
    user: Any, action: str, target: tuple[str, str], request: HttpRequest | None, before: Any = None, after: Any = None
) -> Iterator[None]:
    """Write an operator's command to the audit log together with its effect."""
    unknown: OutcomeUnknown | None = None
    with transaction.atomic():
        audit.record(user, action, target, before=before, after=after, request=request)
        try:
            yield
        except OutcomeUnknown as error:  # it may have been done, or be done yet
            audit.record(user, action, target, after=_UNKNOWN, request=request)
            unknown = error
    if unknown is not None:
        raise unknown


def submit(
    user: Any,
    workflow_type: str,
    value: Any,
    *,
    key: str | None = None,
    workflow_id: str | None = None,
    deadline_s: float | None = None,
    labels: dict[str, str] | None = None,
    request: HttpRequest | None = None,
) -> str:
    """Accept a workflow exactly once for each key; returns its id.

    The audit log gets one entry without the input. It is reserved first, so that nothing is accepted that
    cannot be written down.

    Raises:
        UnknownWorkflowType: Nothing installed defines it.
        InvalidPayload: The input does not have the declared shape.
        PayloadTooLarge: Store it as a document and pass the reference.
        AdmissionRefused: Too much is waiting already.
        ServerUnavailable: Redis does not answer.
        TooManyCalls: This person's forms have submitted too much in this minute; the API counts its calls itself.
    """
    if request is not None and not hasattr(request, "auth"):
        limits.check(f"submit:{user.pk}", SUBMITS_PER_MINUTE)
    unknown: OutcomeUnknown | None = None
    after = {"type": workflow_type}
    new_id = workflow_id or ""
    with transaction.atomic():
        audit.reserve()
        try:
            new_id = core.sync().submit(
                workflow_type, value, key=key, workflow_id=workflow_id, deadline_s=deadline_s, labels=labels
            )
        except OutcomeUnknown as error:
            unknown, after = error, {**after, **_UNKNOWN}
        audit.record(user, "workflow.submit", ("workflow", new_id), after=after, request=request)
    if unknown is not None:
        raise unknown
    live.publish_on_commit("workflows", "overview")
    return new_id


def living(workflow_id: str) -> str:
    """The state of a workflow that has not ended.

    Raises:
        WorkflowNotFound: Neither Redis nor the history knows it.
        WorkflowFinished: It has ended.
    """
    snapshot = core.sync().inspect.snapshot(workflow_id)
    state: str = snapshot.state.value if snapshot else ""
    if not state:
        state = Workflow.objects.filter(pk=workflow_id).values_list("state", flat=True).first() or ""
    if not state:
        raise WorkflowNotFound(_("There is no workflow %(workflow_id)s.") % {"workflow_id": repr(workflow_id)})
    if state in FINAL_STATES:
        raise WorkflowFinished(
            _("Workflow %(workflow_id)s is already %(state)s.") % {"workflow_id": workflow_id, "state": named(state)}
        )
    return state


def cancel(user: Any, workflow_id: str, reason: str = "", request: HttpRequest | None = None) -> None:
    """Ask for a workflow's end; running tasks are told, compensations run.

    Raises:
        WorkflowNotFound: No workflow has this id.
        WorkflowFinished: It has ended already.
    """
    before = {"state": living(workflow_id)}
    with audited(user, "workflow.cancel", ("workflow", workflow_id), request, before, {"reason": reason}):
        core.sync().commands.cancel(workflow_id, actor=user.get_username(), reason=reason)


def signal(
    user: Any,
    workflow_id: str,
    name: str,
    payload: Any = None,
    *,
    signal_id: str | None = None,
    request: HttpRequest | None = None,
) -> None:
    """Deliver a signal exactly once for each signal id.

    Raises:
        WorkflowNotFound: No workflow has this id.
        WorkflowFinished: It has ended already.
    """
    living(workflow_id)
    after = {"name": name, "payload": payload}
    with audited(user, "workflow.signal", ("workflow", workflow_id), request, None, after):
        core.sync().signal(workflow_id, name, payload, signal_id=signal_id)


def retry_now(user: Any, workflow_id: str, step: str, request: HttpRequest | None = None) -> None:
    """End a step's waiting time before its next attempt."""
    with audited(user, "workflow.retry_now", ("workflow", workflow_id), request, None, {"step": step}):
        core.sync().commands.retry_now(workflow_id, step, user.get_username())


def pause_type(user: Any, task_type: str, reason: str = "", request: HttpRequest | None = None) -> None:
    """Stop agents from taking tasks of a type; what runs goes on, what waits keeps waiting."""
    with audited(user, "task_type.pause", ("task_type", task_type), request, None, {"reason": reason}):
        core.sync().commands.pause_type(task_type, user.get_username(), reason)
    live.publish_on_commit("agents", "overview")


def resume_type(user: Any, task_type: str, request: HttpRequest | None = None, ramp_s: float = 0.0) -> None:
    """Let agents take tasks of a type again: all at once, or with slots that come back over so many seconds.

    Raises:
        BadRequest: The time does not fit.
    """
    after = {"ramp_s": ramp_s} if ramp_s else None
    with audited(user, "task_type.resume", ("task_type", task_type), request, None, after):
        core.sync().commands.resume_type(task_type, user.get_username(), ramp_s)
    live.publish_on_commit("agents", "overview")


def drain_agent(user: Any, instance: str, request: HttpRequest | None = None) -> None:
    """Let an instance finish what it runs and take nothing new."""
    with audited(user, "agent.drain", ("agent", instance), request):
        core.sync().commands.drain_agent(instance, user.get_username())
    live.publish_on_commit("agents")


def undrain_agent(user: Any, instance: str, request: HttpRequest | None = None) -> None:
    """Let an instance take tasks again."""
    with audited(user, "agent.undrain", ("agent", instance), request):
        core.sync().commands.undrain_agent(instance)
    live.publish_on_commit("agents")


def register_remote(user: Any, remote: RemoteAgent, request: HttpRequest | None = None) -> None:
    """Let gateway workers run a remote HTTP agent's task types.

    Raises:
        BadRequest: Says which field does not fit, or why the gateway must not call this address.
    """
    try:
        async_to_sync(addresses.check)(remote.url, addresses.Policy.of(current()))
    except AgentError as error:
        raise BadRequest(str(error)) from None
    name = ("remote_agent", remote.name)
    with audited(user, "remote_agent.register", name, request, None, msgspec.to_builtins(remote)):
        core.sync().commands.register_remote(msgspec.structs.replace(remote, registered_by=user.get_username()))
    live.publish_on_commit("agents")


def remove_remote(user: Any, name: str, request: HttpRequest | None = None) -> None:
    """Stop running a remote agent."""
    with audited(user, "remote_agent.remove", ("remote_agent", name), request):
        core.sync().commands.remove_remote(name)
    live.publish_on_commit("agents")
