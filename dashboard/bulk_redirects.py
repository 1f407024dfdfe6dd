"""Sending many steps elsewhere, and restarting many workflows: what that would do to each, read from Redis.

A reroute names an agent, or what an agent must have. A restart names a step, or none: then each workflow begins anew
from the step that failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from coordination import client as core
from coordination.domain import AgentView
from coordination.restarting import RestartPreview
from dashboard.bulk_plan import Candidate
from dashboard.models import Escalation

_UNMET = "wait until an agent comes that has what is required: none is there now"
_RUN_ALREADY = "of them run steps again that have run already: what those did outside they may do again"


def step_of(row: Escalation, payload: Any) -> dict[str, Any]:
    """What a restart of one workflow is sent as: its own failed step, unless another one is named."""
    named = payload.get("step") if isinstance(payload, dict) else None
    return {"step": named or row.step}


def rerouted(rows: Sequence[Escalation], found: Sequence[Candidate], payload: Any) -> list[Candidate]:
    """The candidates with what is known of the agents that would get their tasks.

    Raises:
        ServerUnavailable: Redis does not answer.
    """
    agents = [one for one in core.sync().inspect.agents() if one.alive and not one.draining]
    named = payload.get("agent") if isinstance(payload, dict) else None
    wanted = payload.get("requires") if isinstance(payload, dict) else None
    made = []
    for row, item in zip(rows, found, strict=True):
        able = [one for one in agents if row.task_type in one.types]
        if named and not item.refusal and not any(named in (one.id, one.name) for one in able):
            made.append(replace(item, refusal=f"“{named}” takes no tasks of type {row.task_type} now"))
        elif wanted and not any(_has(one, row.task_type, wanted) for one in able):
            made.append(replace(item, risk=_UNMET))
        else:
            made.append(item)
    return made


def _has(agent: AgentView, task_type: str, wanted: dict[str, str]) -> bool:
    offered = agent.capabilities.get(task_type, {})
    return all(value in offered.get(name, ()) for name, value in wanted.items())


def restarted(rows: Sequence[Escalation], found: Sequence[Candidate], payload: Any) -> list[Candidate]:
    """The candidates with the steps that would run again, and the reason why one cannot be restarted from there.

    Raises:
        ServerUnavailable: Redis does not answer.
    """
    read = core.sync().inspect.restart_preview
    made = []
    for row, item in zip(rows, found, strict=True):
        if item.refusal:
            made.append(item)
            continue
        step = step_of(row, payload)["step"]
        made.append(_with(item, row, read(row.workflow_id, step)))
    return made


def _with(item: Candidate, row: Escalation, shown: RestartPreview | None) -> Candidate:
    if shown is None or shown.new_workflow:
        return replace(item, refusal="its workflow has ended")
    if shown.refused:
        return replace(item, refusal=shown.refused.rstrip("."))
    if row.step not in {step.id for step in shown.again}:
        return replace(item, refusal=f"step {shown.step} was asked for after the one that failed")
    again = Counter(step.name for step in shown.again)
    return replace(item, again=dict(again), risk=_RUN_ALREADY if any(step.has_run for step in shown.again) else "")
