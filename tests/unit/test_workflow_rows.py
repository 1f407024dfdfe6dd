"""The rows of lists of workflows."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import translation

from dashboard.models import Workflow
from dashboard.templatetags.workflow_rows import workflow_rows

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
