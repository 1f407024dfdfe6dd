"""The rows of lists of workflows and of escalations."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from django.template import Context
from django.utils import timezone, translation

from dashboard.models import Escalation, Workflow
from dashboard.queries import EscalationFilter
from dashboard.queries.clocks import Clock
from dashboard.templatetags.rows import escalation_rows, workflow_rows

HOSTILE = "<script>alert('x')</script>\"&"
COLUMNS = ["input", "steps", "submitted", "duration", "owner"]


def row(**values: object) -> Workflow:
    created = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    return Workflow(
        **{"id": "w-1", "type": "orders", "state": "running", "created_at": created, "steps_total": 4, **values}
    )


@pytest.mark.parametrize("field", ["id", "type", "owner", "summary", "error", "progress"])
def test_whatever_agents_and_clients_say_is_escaped(field: str) -> None:
    html = workflow_rows([row(**{field: HOSTILE})], "", True)
    assert "<script" not in html
    assert "&lt;script&gt;" in html or field == "owner"  # shortened


def test_columns_that_are_not_wanted_are_left_out() -> None:
    cells = [workflow_rows([row()], COLUMNS[:count]).count("<td") for count in range(len(COLUMNS) + 1)]
    assert cells == [7, 6, 5, 4, 3, 2]
    assert workflow_rows([], COLUMNS) == ""


def test_a_row_says_what_there_is_to_say() -> None:
    html = workflow_rows([row(summary="cup 4", progress="half", retrying=1, steps_done=2, owner="coordinator-1-ab12")])
    for words in ("/workflows/w-1/", "half", "cup 4", "retrying", "2/4", "coordinator-1-ab12", "orders"):
        assert words in html, words
    with translation.override("de"):
        assert "wiederholt" in workflow_rows([row(retrying=1)])


def shown(row: Escalation, clock: Clock | None = None, **more: object) -> str:
    """A row as an operator sees it in the list of what is open."""
    clocks = {row.fingerprint: clock} if clock else {}
    context = {
        "rows": [row],
        "filter": EscalationFilter(),
        "can": {"operate": True},
        "clocks": clocks,
        "idle_types": (),
    }
    return escalation_rows(Context({**context, **more}))


def escalation(**values: object) -> Escalation:
    now = timezone.now()
    return Escalation(
        **{
            "id": "w-1~1~1", "workflow_id": "w-1", "workflow_type": "orders", "state": "open", "reason": "final_error",
            "headline": "no cup", "fingerprint": "f", "opened_at": now, **values,
        }
    )  # fmt: skip


def clock(**values: object) -> Clock:
    due = timezone.now()
    fields = {
        "priority": "high",
        "looks": "",
        "late": False,
        "resolve_by": None,
        "told": 0,
        "levels": 0,
        "next_at": None,
    }
    return Clock(**{"incident_id": uuid.uuid4(), "due_at": due, **fields, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["id", "headline", "workflow_type", "reason"])
def test_whatever_an_escalation_says_is_escaped(field: str) -> None:
    html = shown(escalation(**{field: HOSTILE}))
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_clock_says_who_looks_and_how_late_it_is() -> None:
    assert "Nobody looks at it" in shown(escalation(), clock(late=True))
    html = shown(escalation(), clock(late=True, looks="Ann <b>", told=1, levels=3))
    for words in ("Ann &lt;b&gt; looks at it", " late</span>", "level 1 of 3", "/escalations/w-1~1~1/", "free"):
        assert words in html, words
    assert "<b>" not in html
    assert "late" not in shown(escalation(), clock(late=True), hidden={"clock": True})


def test_what_is_over_says_what_became_of_it() -> None:
    over = escalation(state="resolved", outcome="dispatched", task_type="pack")
    assert "no capable agent" in shown(over, filter=EscalationFilter(state="all"), idle_types={"pack"})
    assert "data-pick" not in shown(over)
