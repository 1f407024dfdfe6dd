"""What operators do to one workflow beside cancelling: pause, resume, terminate, restart from a step, rerun.

Each is written to the audit log as in ``operations``. An ended workflow is restarted from Redis while that holds it,
afterwards from the history, unless the history has taken out something that the new workflow would need.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from django.http import HttpRequest
from django.utils.translation import gettext as _

from coordination import client as core
from coordination import history
from coordination import journal as j
from coordination.commands import again_id
from coordination.domain import FINAL_STATES, Action, StepKind
from coordination.errors import BadRequest, WorkflowFinished, WorkflowNotFound
from coordination.restarting import Ended, RestartPreview, prefix, preview
from dashboard import live, policy
from dashboard.models import Workflow, WorkflowArchive
from dashboard.operations import audited, living, submit
from dashboard.redaction import has_gaps

_ONLY_SHOWN = frozenset({"payload", "digest"})  # fields of kept entries that a replay does not need


def pause(user: Any, workflow_id: str, reason: str = "", request: HttpRequest | None = None) -> None:
    """Hold a workflow: nothing new of it begins, what runs may finish.

    Raises:
        WorkflowNotFound: No workflow has this id.
        WorkflowFinished: It has ended already.
    """
    before = {"state": living(workflow_id)}
    with audited(user, "workflow.pause", ("workflow", workflow_id), request, before, {"reason": reason}):
        core.sync().commands.pause(workflow_id, actor=user.get_username(), reason=reason)


def resume(user: Any, workflow_id: str, request: HttpRequest | None = None) -> None:
    """Let a paused workflow go on.

    Raises:
        WorkflowNotFound: No workflow has this id.
        WorkflowFinished: It has ended already.
    """
    before = {"state": living(workflow_id)}
    with audited(user, "workflow.resume", ("workflow", workflow_id), request, before):
        core.sync().commands.resume(workflow_id, actor=user.get_username())


def terminate(user: Any, workflow_id: str, reason: str = "", request: HttpRequest | None = None) -> None:
    """End a workflow at once; nothing is compensated.

    Raises:
        WorkflowNotFound: No workflow has this id.
        WorkflowFinished: It has ended already.
    """
    before = {"state": living(workflow_id)}
    with audited(user, "workflow.terminate", ("workflow", workflow_id), request, before, {"reason": reason}):
        core.sync().commands.terminate(workflow_id, actor=user.get_username(), reason=reason)


def restart(
    user: Any,
    workflow_id: str,
    step: str,
    reason: str = "",
    request_id: str = "",
    request: HttpRequest | None = None,
) -> str:
    """Let a workflow begin anew from a step, once for each request id; returns the id of the workflow that goes on.

    One that lives goes on itself, under the next generation. One that has ended stays as it is: a new one begins with
    what is kept.

    Raises:
        BadRequest: It cannot be done, in words.
        WorkflowNotFound: Neither Redis nor the history knows it.
    """
    commands = core.sync().commands
    request_id = request_id or secrets.token_hex(8)
    after = {"step": step, "reason": reason}
    ended = _ended(workflow_id)
    if ended is None:
        before = {"state": living(workflow_id)}
        _refuse_alone(workflow_id, step)
        with audited(user, "workflow.restart", ("workflow", workflow_id), request, before, after):
            commands.restart(workflow_id, step, actor=user.get_username(), reason=reason, request_id=request_id)
        return workflow_id
    _check_whole(ended, prefix(ended.entries, step))
    with audited(user, "workflow.restart", ("workflow", workflow_id), request, None, after):
        new_id: str = commands.restart_ended(ended, step, request_id=request_id)
    live.publish_on_commit("workflows", "overview")
    return new_id


def _refuse_alone(workflow_id: str, step: str) -> None:
    """Refuse a restart that would decide an escalation where a second person must approve that."""
    if not policy.current().needs_approval(Action.RESTART):
        return
    found: RestartPreview | None = core.sync().inspect.restart_preview(workflow_id, step)
    waiting = [one for one in found.again if one.escalation_id and one.kind is StepKind.TASK] if found else []
    if waiting:
        raise BadRequest(
            _(
                "Step %(step)s waits for a person, and a restart needs a second one here: choose Restart on the"
                " escalation %(escalation)s, which asks for approval."
            )
            % {"step": waiting[0].id, "escalation": waiting[0].escalation_id}
        )


def restart_preview(workflow_id: str, step: str) -> RestartPreview:
    """What a restart from a step would keep, and what would run again.

    Raises:
        WorkflowNotFound: Neither Redis nor the history knows it.
    """
    ended = _ended(workflow_id)
    if ended is None:
        found: RestartPreview | None = core.sync().inspect.restart_preview(workflow_id, step)
        if found is None:
            raise WorkflowNotFound(_("There is no workflow %(workflow_id)s.") % {"workflow_id": repr(workflow_id)})
        return found
    shown = preview(workflow_id, step, ended.entries, history.steps(ended.entries), "completed")
    if not shown.refused:
        try:
            _check_whole(ended, prefix(ended.entries, step))
        except BadRequest as error:
            shown.refused = str(error)
    return shown


def rerun(user: Any, workflow_id: str, request_id: str = "", request: HttpRequest | None = None) -> str:
    """Submit a new workflow with the input of another, once for each request id; returns its id.

    It runs the newest code of the type, and is labelled ``rerun_of``.

    Raises:
        BadRequest: The history has taken something out of the input.
        WorkflowNotFound: Neither Redis nor the history knows it.
        AdmissionRefused: Too much is waiting already.
    """
    snapshot = core.sync().inspect.snapshot(workflow_id)
    row = Workflow.objects.filter(pk=workflow_id).first()
    if snapshot is not None and (not snapshot.state.is_final or snapshot.input is not None):
        kind, given, labels = snapshot.type, snapshot.input, snapshot.labels
    elif row is not None:
        archive = WorkflowArchive.objects.filter(pk=workflow_id).first()
        kind, labels = row.type, row.labels
        given = msgspec.json.decode(archive.input) if archive and archive.input else None
        if has_gaps(given):
            raise BadRequest(
                _("The history keeps the input of %(workflow_id)s without its secrets: submit it anew.")
                % {"workflow_id": workflow_id}
            )
    else:
        raise WorkflowNotFound(_("There is no workflow %(workflow_id)s.") % {"workflow_id": repr(workflow_id)})
    new_id = again_id(workflow_id, f"rerun/{request_id}" if request_id else "")
    return submit(user, kind, given, workflow_id=new_id, labels={**labels, "rerun_of": workflow_id}, request=request)


def _ended(workflow_id: str) -> Ended | None:
    """A workflow that has ended, from Redis or the history; None when it lives or is not known."""
    found: Ended | None = core.sync().inspect.ended(workflow_id)
    if found is not None:
        return found
    row = Workflow.objects.filter(pk=workflow_id, state__in=FINAL_STATES).first()
    archive = WorkflowArchive.objects.filter(pk=workflow_id).first() if row else None
    if row is None or archive is None:
        return None
    if archive.journal is None:
        raise WorkflowFinished(
            _("Workflow %(workflow_id)s has just ended; its history is being written. Try again.")
            % {"workflow_id": workflow_id}
        )
    entries = j.decode_archive(archive.journal)
    given = (archive.input or "null").encode()
    return Ended(row.pk, row.type, row.version, given, _began_ms(row), row.labels, entries)


def _began_ms(row: Workflow) -> int:
    """When run() began first: in the workflow that all restarts of ended ones go back to."""
    first, seen = row, {row.pk}
    while (source := first.labels.get("restarted_from")) and source not in seen:
        seen.add(source)
        first = Workflow.objects.filter(pk=source).first() or first
    return int(first.created_at.timestamp() * 1000)


def _check_whole(ended: Ended, kept: list[j.AnyEntry]) -> None:
    """Refuse when what a new workflow needs was taken out for the history."""
    if has_gaps(msgspec.json.decode(ended.input)):
        raise BadRequest(
            _("The history keeps the input of %(ended)s without its secrets: submit it anew.") % {"ended": ended.id}
        )
    for entry in kept:
        for name in entry.__struct_fields__:
            value = getattr(entry, name)
            if isinstance(value, bytes) and name not in _ONLY_SHOWN and has_gaps(msgspec.json.decode(value)):
                step = getattr(entry, "step", "") or getattr(entry, "name", "")
                raise BadRequest(
                    _(
                        "The history keeps the result of step %(step)s without its secrets, and the new workflow "
                        "would need it: restart from that step or an earlier one, or rerun."
                    )
                    % {"step": step}
                )
