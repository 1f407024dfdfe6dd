"""Lists: filters, search, order, and pages that hold every row once however they are walked."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import sys
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from coordination.config import Config
from coordination.domain import EscalationSnapshot, EscalationState, Reason, WorkflowSnapshot, WorkflowState
from dashboard import accounts, mirror, queries
from dashboard.models import Decision, Escalation, Workflow
from dashboard.queries import WorkflowFilter
from dashboard.rows import escalation_values

pytestmark = [pytest.mark.django_db, pytest.mark.sql]

BEGIN_MS = 1_700_000_000_000


def stored(count: int = 137) -> list[WorkflowSnapshot]:
    """Workflows of all kinds, some submitted in the same millisecond."""
    chance = random.Random(7)
    snapshots = []
    for number in range(count):
        state = chance.choice(list(WorkflowState))
        created = BEGIN_MS + chance.randrange(40) * 1000
        snapshots.append(
            WorkflowSnapshot(
                id=f"wf-{number:04d}", type=chance.choice(["alpha", "beta"]), version=1 + number % 2, state=state,
                seq=3, input={"city": chance.choice(["Berlin", "Rome"]), "order": f"A-{number}"}, created_ms=created,
                finished_ms=created + chance.randrange(5) * 100 if state.is_final else 0,
                owner="host-1" if state is WorkflowState.RUNNING else "", retrying=int(number % 3 == 0),
            )
        )  # fmt: skip
    mirror.workflows(snapshots)
    return snapshots


def walk(wanted: WorkflowFilter, limit: int) -> list[str]:
    """Every page to the end, and back again to the beginning."""
    pages, cursor = [], ""
    while True:
        page = queries.workflows(wanted, cursor=cursor, limit=limit)
        pages.append(page)
        cursor = page.next
        if not cursor:
            break
    there = [row.id for row in itertools.chain(*(page.rows for page in pages))]
    back, cursor = [pages[-1]], pages[-1].previous
    while cursor:
        page = queries.workflows(wanted, cursor=cursor, limit=limit)
        back.insert(0, page)
        cursor = page.previous
    assert [row.id for row in itertools.chain(*(page.rows for page in back))] == there
    return there


@pytest.mark.parametrize(
    "sort", ["created", "-created", "-finished", "duration", "-duration", "type", "-type", "state"]
)
@pytest.mark.parametrize("states", ["", "failed", "failed,running,completed"])
def test_walking_pages_gives_every_row_once_in_order(sort: str, states: str) -> None:
    snapshots = stored()
    wanted = WorkflowFilter.from_params({"sort": sort, "state": states})
    found = walk(wanted, 10)
    chosen = [s for s in snapshots if not states or s.state in states.split(",")]
    if sort.lstrip("-") in ("finished", "duration"):
        chosen = [s for s in chosen if s.finished_ms]
    keys: dict[str, Any] = {
        "created": lambda s: (s.created_ms, s.id),
        "finished": lambda s: (s.finished_ms, s.id),
        "duration": lambda s: (s.finished_ms - s.created_ms, s.id),
        "type": lambda s: (s.type, s.created_ms, s.id),
        "state": lambda s: (s.state, s.created_ms, s.id),
    }
    expected = sorted(chosen, key=keys[sort.lstrip("-")], reverse=sort.startswith("-"))
    assert found == [s.id for s in expected]
    assert queries.count_workflows(WorkflowFilter.from_params({"state": states}))[0] == len(
        [s for s in snapshots if not states or s.state in states.split(",")]
    )


def test_filters() -> None:
    snapshots = stored()

    def ids(**params: str) -> set[str]:
        return {row.id for row in queries.workflows(WorkflowFilter.from_params(params), limit=500).rows}

    assert ids(type="alpha") == {s.id for s in snapshots if s.type == "alpha"}
    assert ids(type="alpha", version="2") == {s.id for s in snapshots if s.type == "alpha" and s.version == 2}
    assert ids(version="2") == ids(type="", version="x") == {s.id for s in snapshots}, "a version is one of a type"
    assert ids(age="over-7d") == {s.id for s in snapshots}
    assert ids(age="7d") == set()
    assert ids(owner="host-1") == {s.id for s in snapshots if s.owner}
    assert ids(needs="retrying") == {s.id for s in snapshots if s.retrying}
    Escalation.objects.create(
        id="e~1~1", workflow_id="wf-0007", workflow_type="alpha", step="1", task_type="t", reason="no_capable_agent",
        state="open", fingerprint="f", headline="t", opened_at=dt.datetime.now(dt.UTC), detail={},
    )  # fmt: skip
    assert ids(needs="no_agent") == {"wf-0007"}
    assert ids(needs="human") == {s.id for s in snapshots if s.state == "needs_human"}
    moment = dt.datetime.fromtimestamp(BEGIN_MS / 1000 + 20, dt.UTC).isoformat()
    assert ids(since=moment) | ids(until=moment) == {s.id for s in snapshots}
    assert not ids(since=moment) & ids(until=moment)
    assert ids(state="nonsense", sort="nonsense", since="nonsense") == {s.id for s in snapshots}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wf-0017", {"wf-0017"}),
        ("berl", "Berlin"),
        ("ROME", "Rome"),
        ("A-17", {"wf-0017"} | {f"wf-0{n:03d}" for n in range(170, 180)}),
        ("rome wf-0", "Rome"),
        ("'; drop table x; --", set()),
        ('" OR 1 *', set()),
        ("%", set()),
    ],
)
def test_search_finds_words_and_their_beginnings(text: str, expected: Any) -> None:
    snapshots = stored()
    if isinstance(expected, str):
        expected = {s.id for s in snapshots if s.input["city"] == expected}
    found = {row.id for row in queries.workflows(WorkflowFilter.from_params({"q": text}), limit=500).rows}
    assert found == expected & {s.id for s in snapshots}


def test_search_forgets_what_is_deleted() -> None:
    stored(5)
    Workflow.objects.filter(pk="wf-0003").delete()
    assert [row.id for row in queries.workflows(WorkflowFilter(text="wf-0003")).rows] == []
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM dashboard_workflow_text")
            assert cursor.fetchone() == (4,)


@pytest.mark.parametrize("text", ["wf", "wf-0003", "wf 0003", "0003 wf-0003", "nothing", "--"])
def test_a_search_counts_the_same_with_and_without_other_filters(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(5)
    long_ago = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    for cap in (1_000, 3):
        monkeypatch.setattr(sys.modules["dashboard.queries.workflows"], "SEARCH_COUNT_CAP", cap)
        counted = queries.count_workflows(WorkflowFilter(text=text))
        assert counted == queries.count_workflows(WorkflowFilter(text=text, since=long_ago))


@pytest.mark.parametrize("asked", [{}, {"state": "failed"}, {"state": "failed,running"}, {"sort": "created"}])
def test_pages_of_a_search_hold_every_match_in_order(asked: dict[str, str]) -> None:
    """Rows came into the history in another order than they were submitted in, as after an outage."""
    stored()
    wanted = WorkflowFilter.from_params({"q": "rome", **asked})
    some = Workflow.objects.filter(
        summary__icontains="rome", **({"state__in": wanted.states} if asked.get("state") else {})
    )
    ordered = (
        some.order_by("created_at", "id") if asked.get("sort") == "created" else some.order_by("-created_at", "-id")
    )
    every = [row.id for row in ordered]
    assert len(every) > 6
    assert walk(wanted, 3) == every


def test_a_filter_survives_its_query_string() -> None:
    params = {
        "state": "failed,running",
        "type": "alpha",
        "version": "3",
        "age": "over-24h",
        "q": "x y",
        "needs": "human",
        "sort": "duration",
    }
    wanted = WorkflowFilter.from_params(params)
    assert wanted.params() == params
    assert WorkflowFilter.from_params(wanted.params()) == wanted
    assert wanted.params(type="", text="", age="") == {
        "state": "failed,running", "needs": "human", "sort": "duration",
    }  # fmt: skip


@pytest.mark.parametrize("cursor", ["nonsense", "e30", "WzEsMl0", "bnVsbA", "WyJhIiwiYiIsImMiXQ"])
def test_a_wrong_cursor_gives_the_first_page(cursor: str) -> None:
    stored(5)
    page = queries.workflows(WorkflowFilter(), cursor=cursor)
    assert len(page.rows) == 5


def test_counts_and_types() -> None:
    snapshots = stored()
    counts = queries.state_counts()
    assert {state: count for state, (count, _) in counts.items()} == {
        state.value: sum(s.state is state for s in snapshots) for state in WorkflowState
    }
    assert queries.workflow_types() == ["alpha", "beta"]


def test_escalations_are_grouped_by_cause() -> None:
    now = dt.datetime.now(dt.UTC)
    for number in range(12):
        Escalation.objects.create(
            id=f"w{number}~1~1", workflow_id=f"w{number}", workflow_type="t", step="1", task_type="parse",
            reason="final_error", state="open", fingerprint=f"cause-{number % 3 if number < 9 else 0}",
            headline=f"headline {number}", detail={}, opened_at=now + dt.timedelta(seconds=number),
        )  # fmt: skip
    groups = queries.escalation_groups(queries.EscalationFilter())
    assert [(group.fingerprint, group.count) for group in groups] == [("cause-0", 6), ("cause-1", 3), ("cause-2", 3)]
    page = queries.escalations(queries.EscalationFilter(fingerprint="cause-1"), limit=2)
    assert ([row.id for row in page.rows], page.has_next, page.total) == (["w1~1~1", "w4~1~1"], True, 3)
    assert queries.open_escalations()[0] == 12


def test_the_page_of_a_parent_lists_its_children(client: Client, config: Config) -> None:
    stored(3)
    Workflow.objects.filter(pk__in=["wf-0001", "wf-0002"]).update(parent_id="wf-0000")
    client.force_login(accounts.ensure_admin(), "django.contrib.auth.backends.ModelBackend")
    page = client.get("/workflows/wf-0000/?tab=data").content.decode()
    listed = page.partition(">Children<")[2]
    assert 'id="wf-wf-0001"' in listed and 'id="wf-wf-0002"' in listed
    assert "child of" in client.get("/workflows/wf-0001/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_what_an_earlier_version_has_indexed_is_found_after_its_migration() -> None:
    call_command("migrate", "dashboard", "0009", verbosity=0)
    try:
        stored(40)
    finally:
        call_command("migrate", "dashboard", verbosity=0)
    assert walk(WorkflowFilter(text="wf"), 7) == walk(WorkflowFilter(), 7)
    late = WorkflowSnapshot(
        id="wf-late", type="alpha", version=1, state=WorkflowState.QUEUED, created_ms=BEGIN_MS + 90_000
    )
    mirror.workflows([late])
    assert [row.id for row in queries.workflows(WorkflowFilter(text="wf"), limit=1).rows] == ["wf-late"]


@pytest.mark.parametrize(
    ("state", "next_one"), [("submitted", "e-2"), ("pending", "e-2"), ("accepted", "e-2"), ("undone", "e-1")]
)
def test_what_was_just_decided_is_not_the_next_to_look_at(state: str, next_one: str) -> None:
    """However far the history is behind Redis, where it is over."""
    now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    for number in range(3):
        snapshot = EscalationSnapshot(
            id=f"e-{number}", workflow_id="wf", workflow_type="alpha", step="1", task_type="pack",
            reason=Reason.FINAL_ERROR, state=EscalationState.OPEN, opened_ms=BEGIN_MS + number,
        )  # fmt: skip
        Escalation.objects.create(**{**escalation_values(snapshot, now), "fingerprint": "f"})
    Decision.objects.create(escalation_id="e-1", version=1, action="retry", actor="ann", state=state, due_at=now)
    found = queries.escalation("e-0")
    assert found is not None
    assert found.next_id == next_one
