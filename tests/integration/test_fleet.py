"""What the agents' page reads: search by words and capabilities, the state of a type, causes of failures."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from coordination.domain import AgentView, QueueView, TypeWork
from dashboard.models import Escalation
from dashboard.queries import fleet

pytestmark = [pytest.mark.once, pytest.mark.django_db]


def _agent(name: str, health: str = "idle", **more: object) -> AgentView:
    view = AgentView(f"{name}-1f", name, health != "silent", health, ["extract", "sum"], version="2")
    for field, value in more.items():
        setattr(view, field, value)
    return view


AGENTS = [
    _agent("north", capabilities={"extract": {"Kind": ["nda"]}}, work={"extract": TypeWork(2, 10, 40)}),
    _agent(
        "south", "frozen", version="3", capabilities={"extract": {"Kind": ["*"]}}, work={"extract": TypeWork(1, 9, 70)}
    ),
    _agent("gone", "silent"),
]
QUEUES = [QueueView("extract", 3, 1), QueueView("sum", 0, 0), QueueView("orphan", 1, 0)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {"extract": 3, "sum": 3, "orphan": 0}),
        ("nort", {"extract": 1, "sum": 1}),
        ("extract", {"extract": 3}),
        ("kind:nda", {"extract": 2}),
        ("kind:lease", {"extract": 1}),
        ("kind:nda north", {"extract": 1}),
        ("orphan", {"orphan": 0}),
        ("nobody", {}),
    ],
)
def test_search(text: str, found: dict[str, int]) -> None:
    rows = fleet.search(fleet.type_rows(AGENTS, QUEUES, {}), text)
    assert {row.name: len(row.agents) for row in rows} == found
    agents = {agent.name for row in rows for agent in row.agents}
    assert {agent.name for agent in fleet.matching(AGENTS, text)} == agents


def test_a_row_says_how_its_type_is() -> None:
    extract, orphan, _ = fleet.type_rows(AGENTS, QUEUES, {})
    assert (extract.health, extract.frozen, extract.load, extract.p95_ms) == ("frozen", 1, 3, 70)
    assert extract.versions == [("2", 1), ("3", 1)]  # of those that live
    assert orphan.health == "silent"


def test_failures_are_counted_by_cause() -> None:
    now = timezone.now()
    for number, (task_type, cause, hours) in enumerate(
        [("extract", "a", 1), ("extract", "a", 2), ("extract", "b", 3), ("sum", "a", 1), ("extract", "b", 25)]
    ):
        Escalation.objects.create(
            id=f"w{number}~0~1", workflow_id=f"w{number}", workflow_type="t", step="0", task_type=task_type,
            reason="failed", state="open", fingerprint=cause, headline=f"cause {cause}", detail={},
            opened_at=now - dt.timedelta(hours=hours),
        )  # fmt: skip
    found = fleet.recent_causes()
    assert [(cause.headline, cause.count) for cause in found["extract"]] == [("cause a", 2), ("cause b", 1)]
    assert fleet.type_rows(AGENTS, QUEUES, {})[0].failures == 3
