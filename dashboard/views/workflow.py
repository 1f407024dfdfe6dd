"""One workflow: steps, timeline, journal, input and result."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from coordination import client as core
from coordination.domain import StepState, StepView
from coordination.errors import GanglionError
from dashboard import differences, graph, queries, timeline
from dashboard.api_calls import api_calls
from dashboard.folding import ALL, Fold, Line, fold
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import WorkflowDetail
from dashboard.roles import viewer_required
from dashboard.templatetags.console import claim_holds
from dashboard.waits import Wait, sentences
from dashboard.wording import duration

TABS = (
    ("steps", gettext_noop("Steps")),
    ("timeline", gettext_noop("Timeline")),
    ("journal", gettext_noop("Journal")),
    ("data", gettext_noop("Input and result")),
)
JOURNAL_ROWS = 200
WAITS = 5  # sentences that are shown
MOST_OPENED = 40  # folds
PARTS = ("input", "result", "journal", "steps", "everything")


def _waits(detail: WorkflowDetail) -> list[Wait]:
    row = detail.row
    if row.finished_at or not detail.live:
        return []
    try:
        reasons = core.sync().inspect.why(row.pk)
    except GanglionError:
        return []
    claims = {one.pk: str(one.claimed_by) for one in detail.escalations if claim_holds(one)}
    return sentences(row.pk, reasons, claims)


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
        raise Http404(
            _("There is no workflow %(workflow_id)s: neither Redis nor the history knows it.")
            % {"workflow_id": repr(workflow_id)}
        )
    row = detail.row
    address = reverse("workflow", args=[workflow_id])
    tab = visit.query.get("tab", "steps")
    tab = tab if tab in dict(TABS) else "steps"
    step = _selected(detail.steps, visit.query.get("step", ""))
    now_ms = int(time.time() * 1000)
    opened = tuple(name for name in visit.query.get("open", "").split(",") if name)[:MOST_OPENED]
    waits = _waits(detail)
    context: dict[str, Any] = {
        "detail": detail, "row": row, "tab": tab, "step": step, "address": address,
        "tabs": [(name, _(words), f"{address}?tab={name}") for name, words in TABS],
        "waits": waits[:WAITS], "waits_hidden": max(0, len(waits) - WAITS),
        "open": row.finished_at is None, "settled": row.finished_at is not None,
        "open_escalations": [one for one in detail.escalations if one.state == "open"],
        "spent_ms": row.duration_ms if row.finished_at else None, "calls": api_calls(row, step),
    }  # fmt: skip
    if tab == "steps":
        lines = fold(detail.steps, opened)
        context["folds"] = _folds(visit, lines, opened)
        chosen = step.id if step else ""
        context["graph"] = graph.draw(lines, chosen, _opener(visit, opened), now_ms) if detail.steps else ""
        context |= _comparison(visit, step)
    elif tab == "timeline" and detail.steps:
        context |= _timeline(visit, detail, opened, now_ms)
    elif tab == "journal":
        kind = visit.query.get("kind", "")
        rows = [entry for entry in detail.journal if not kind or entry.kind == kind]
        shown = rows if visit.query.get("all") else rows[-JOURNAL_ROWS:]
        context |= {
            "entries": list(reversed(shown)), "entries_hidden": len(rows) - len(shown), "kind": kind,
            "kinds": sorted({entry.kind for entry in detail.journal}),
        }  # fmt: skip
    return context


def _opener(visit: Visit, opened: tuple[str, ...]) -> Callable[[Line], str]:
    """The address that selects a step, or opens a fold."""

    def href(line: Line) -> str:
        if isinstance(line, Fold):
            return f"?{_with(visit, open=','.join([*opened, line.id]))}"
        return f"?{_with(visit, tab='steps', step=line.id)}"

    return href


def _with(visit: Visit, **changed: str) -> str:
    """The page's own query with some parts changed; empty parts go."""
    kept = {name: str(visit.query[name]) for name in ("tab", "step", "open", "zoom", "time") if visit.query.get(name)}
    return urlencode({name: value for name, value in {**kept, **changed}.items() if value})


def _folds(visit: Visit, lines: list[Line], opened: tuple[str, ...]) -> list[tuple[str, str]]:
    """Links that open every fold, or close them again."""
    links = []
    if any(isinstance(line, Fold) for line in lines):
        links.append((_("Show every step"), f"?{_with(visit, open=ALL)}"))
    if opened:
        links.append((_("Fold again"), f"?{_with(visit, open='')}"))
    return links


def _timeline(visit: Visit, detail: WorkflowDetail, opened: tuple[str, ...], now_ms: int) -> dict[str, Any]:
    row, live = detail.row, detail.row.finished_at is None
    begin = int(row.created_at.timestamp() * 1000)
    end = now_ms if live or row.finished_at is None else int(row.finished_at.timestamp() * 1000)
    end = max(end, max((step.finished_ms for step in detail.steps), default=0))
    zoom = int(visit.query.get("zoom", "1")) if visit.query.get("zoom", "1").isdecimal() else 1
    zoom = zoom if zoom in timeline.ZOOMS else 1
    whole = visit.query.get("time") == "all"
    scale = timeline.Scale(begin, end, None if whole else timeline.busy_times(detail.steps, end), zoom)
    lines = fold(detail.steps, opened)
    place = timeline.ZOOMS.index(zoom)
    larger, smaller = timeline.ZOOMS[place + 1 : place + 2], timeline.ZOOMS[max(0, place - 1) : place]
    return {
        "timeline": timeline.draw(lines, detail.journal, scale, _opener(visit, opened), now_ms=end, live=live),
        "folds": _folds(visit, lines, opened),
        "zoom": zoom,
        "zoom_in": f"?{_with(visit, zoom=str(larger[0]))}" if larger else "",
        "zoom_out": f"?{_with(visit, zoom=str(smaller[0]) if smaller[0] > 1 else '')}" if smaller else "",
        "collapsed": sum(stretch.collapsed for stretch in scale.stretches),
        "whole": whole,
        "time_href": f"?{_with(visit, time='' if whole else 'all')}",
    }


def _comparison(visit: Visit, step: StepView | None) -> dict[str, Any]:
    """Two attempts of the step beside each other: those that were asked for, else the last two that ended."""
    if step is None or len(step.attempts) < 2:
        return {}
    by_number = {str(attempt.number): attempt for attempt in step.attempts}
    first = by_number.get(visit.query.get("a", ""), step.attempts[-2])
    second = by_number.get(visit.query.get("b", ""), step.attempts[-1])
    shown = [
        {
            "agent": one.agent, "outcome": one.outcome, "waited": duration(max(0, one.started_ms - one.queued_ms))
            if one.started_ms else "", "ran": duration(one.finished_ms - one.started_ms) if one.finished_ms and
            one.started_ms else "", "error": one.error,
        }
        for one in (first, second)
    ]  # fmt: skip
    return {"compared": (first.number, second.number), "compared_lines": differences.lines(shown[0], shown[1])}


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
        raise Http404(
            _("There is no %(part)s of a workflow %(workflow_id)s.") % {"part": part, "workflow_id": repr(workflow_id)}
        )
    whole = {"id": workflow_id, "type": detail.row.type, "state": detail.row.state, "error": detail.error}
    parts = {name: getattr(detail, name) for name in PARTS[:-1]}
    data = msgspec.json.format(
        msgspec.json.encode({**whole, **parts} if part == "everything" else parts[part]), indent=2
    )
    response = HttpResponse(data, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{part}.json"'
    response["Cache-Control"] = "no-store"
    return response
