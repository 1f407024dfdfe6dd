"""Commands that steer one workflow, and the agents' pool."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dashboard.cli import show
from dashboard.cli.app import AsJson, WorkflowId, app
from dashboard.cli.errors import CommandFailed
from dashboard.cli.http import Api, segment

Reason = Annotated[str, typer.Option(help="For the audit log.")]
TaskType = Annotated[str, typer.Argument(metavar="TYPE")]


@app.command()
def pause(workflow_id: WorkflowId, reason: Reason = "") -> None:
    """Hold a workflow: nothing new of it begins."""
    Api().post(f"/workflows/{segment(workflow_id)}/pause", {"reason": reason})


@app.command()
def resume(workflow_id: WorkflowId) -> None:
    """Let a paused workflow go on."""
    Api().post(f"/workflows/{segment(workflow_id)}/resume")


@app.command()
def terminate(workflow_id: WorkflowId, reason: Reason = "") -> None:
    """End a workflow at once, without its compensations."""
    Api().post(f"/workflows/{segment(workflow_id)}/terminate", {"reason": reason})


@app.command()
def restart(
    workflow_id: WorkflowId,
    step: Annotated[str, typer.Argument(metavar="STEP")],
    reason: Reason = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Begin anew from a step; prints the id of the workflow that goes on."""
    api = Api()
    if not dry_run:
        accepted = api.post(f"/workflows/{segment(workflow_id)}/restart", {"step": step, "reason": reason})
        (show.as_json if as_json else _id)(accepted)
        return
    found = api.get(f"/workflows/{segment(workflow_id)}/restart-preview", step=step)
    if as_json:
        show.as_json(found)
        return
    if found["refused"]:
        raise CommandFailed(found["refused"])
    rows = [[one["id"], one["name"], one["state"], "kept", ""] for one in found["kept"]]
    for one in found["again"]:
        rows.append([one["id"], one["name"], one["state"], "again", "has run before" if one["has_run"] else ""])
    show.table(["step", "what", "state", "restart", "effect may repeat"], rows, "Nothing has begun.")


@app.command()
def rerun(workflow_id: WorkflowId, as_json: AsJson = False) -> None:
    """Submit a workflow's input anew and print the new id."""
    (show.as_json if as_json else _id)(Api().post(f"/workflows/{segment(workflow_id)}/rerun"))


@app.command()
def why(workflow_id: WorkflowId, as_json: AsJson = False) -> None:
    """Say what each step waits for."""
    found = Api().get(f"/workflows/{segment(workflow_id)}/why")
    if as_json:
        show.as_json(found)
        return
    rows = [[one["step"] or "all", one["name"], one["kind"], _facts(one)] for one in found]
    show.table(["step", "what", "waits for", ""], rows, "It waits for nothing.")


@app.command("pause-type")
def pause_type(task_type: TaskType, reason: Reason = "") -> None:
    """Keep agents from taking tasks of a type."""
    Api().post(f"/queues/{segment(task_type)}/pause", {"reason": reason})


@app.command("resume-type")
def resume_type(
    task_type: TaskType,
    ramp_s: Annotated[float, typer.Option("--ramp", help="Seconds over which slots come back.")] = 0.0,
) -> None:
    """Let agents take tasks of a type again."""
    Api().post(f"/queues/{segment(task_type)}/resume", {"ramp_s": ramp_s})


@app.command()
def drain(
    instance: Annotated[str, typer.Argument(metavar="AGENT")],
    undo: Annotated[bool, typer.Option("--undo", help="Let it take tasks again.")] = False,
) -> None:
    """Let an agent instance finish what it runs and take nothing new."""
    Api().post(f"/agents/{segment(instance)}/{'undrain' if undo else 'drain'}")


def _id(accepted: dict[str, Any]) -> None:
    show.line(accepted["id"])


_TOLD = (
    "agent", "escalation_id", "child_id", "owner", "silent_ms", "paused_by", "waiting", "able", "busy", "unfit",
    "silent", "draining", "target", "ahead", "hosts", "attempt",
)  # fmt: skip


def _facts(reason: dict[str, Any]) -> str:
    return ", ".join(f"{name} {reason[name]}" for name in _TOLD if reason[name])
