"""The relay's small parts: folding events, percentiles, one report of several relays."""

from __future__ import annotations

import time

import pytest

from coordination.domain import StepKind, StepState, StepView, WorkflowSnapshot, WorkflowState
from dashboard import live
from dashboard.relay import seen_pace_s, unseen_pace_s
from dashboard.relay_batch import Batch
from dashboard.relay_outcomes import Open, outcome
from dashboard.relay_status import RelayLag, combine, percentile


def test_many_events_of_one_workflow_are_one_change() -> None:
    batch = Batch()
    events = [[b"w", b"w1", b"k", kind, b"q", b"1", b"t", b"5"] for kind in (b"submitted", b"progressed", b"finished")]
    escalated = [b"w", b"w2", b"k", b"escalated", b"q", b"1", b"x", b"w2~1~1", b"t", b"5"]
    batch.add("events:0", [(b"%d-0" % n, fields) for n, fields in enumerate([*events, escalated])], "hosts")
    batch.add("events:1", [(b"9-0", None)], "hosts")
    assert (batch.workflows, batch.escalations, batch.events) == ({"w1", "w2"}, {"w2~1~1"}, 5)
    assert batch.entries == {"events:0": [b"0-0", b"1-0", b"2-0", b"3-0"], "events:1": [b"9-0"]}


def test_host_events_are_read_whatever_they_lack() -> None:
    batch = Batch()
    fields = [
        b"k",
        b"lost",
        b"host",
        b"h1",
        b"by",
        b"h2",
        b"workflows",
        b"7",
        b"silent_ms",
        b"900",
        b"t",
        b"1700000000000",
    ]
    batch.add("hosts", [(b"1-0", fields), (b"1700000000000-1", [b"k", b"started", b"workflows", b"many"])], "hosts")
    lost, started = batch.hosts
    assert (lost.kind, lost.by, lost.workflows, lost.silent_ms, lost.at.year) == ("lost", "h2", 7, 900, 2023)
    assert (started.workflows, started.at.year) == (0, 2023)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7], 0.95, 7), ([1, 2, 3, 4], 0.5, 2), (list(range(1, 101)), 0.95, 95)],
)
def test_percentiles(values: list[int], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


def test_reports_of_several_relays_become_one() -> None:
    now = time.time_ns() // 1_000_000
    dead = RelayLag(lag_ms=99_000, at_ms=now - 60_000, rows_per_s=5)
    first = RelayLag(lag_ms=40, events=2, at_ms=now - 900, rows_per_s=10, note="Redis does not answer")
    second = RelayLag(lag_ms=20, events=1, at_ms=now, rows_per_s=30)
    together = combine([second, dead, first])
    assert (together.lag_ms, together.rows_per_s, together.relays) == (20, 40, 2)
    assert (together.note, together.alive) == ("Redis does not answer", True)
    assert combine([dead]) == dead
    assert not combine([dead]).alive
    assert combine([]).at_ms == 0


@pytest.mark.parametrize(
    ("state", "escalation", "workflow", "expected"),
    [
        (StepState.SUCCEEDED, "", WorkflowState.RUNNING, "succeeded"),
        (StepState.SUCCEEDED, "", WorkflowState.QUEUED, "dispatched"),  # nobody has gone on with the answer
        (StepState.RUNNING, "", WorkflowState.RUNNING, "dispatched"),
        (StepState.QUEUED, "", WorkflowState.QUEUED, "dispatched"),
        (StepState.ESCALATED, "other", WorkflowState.NEEDS_HUMAN, "failed_again"),
        (StepState.ESCALATED, "this", WorkflowState.NEEDS_HUMAN, "dispatched"),
        (StepState.FAILED, "", WorkflowState.FAILED, "failed_again"),
        (StepState.CANCELLED, "", WorkflowState.CANCELLED, "cancelled"),
        (None, "", WorkflowState.COMPLETED, "succeeded"),
    ],
)
def test_outcomes_follow_the_step(
    state: StepState | None, escalation: str, workflow: WorkflowState, expected: str
) -> None:
    steps = [StepView(id="1", kind=StepKind.TASK, name="t", state=state, escalation_id=escalation)] if state else []
    snapshot = WorkflowSnapshot(id="w", type="t", version=1, state=workflow)
    assert outcome(Open("this", "w", "1", "resolved"), snapshot, steps) == expected


def test_every_topic_has_one_valid_group() -> None:
    topics = [
        *live.GENERAL_TOPICS,
        "workflow.w1",
        "escalation.w1~1.0~1",
        "escalation.w1~1.0~2",
        "workflow." + "x" * 200,
    ]
    groups = [live.group(topic) for topic in topics]
    assert len(set(groups)) == len(topics)
    assert all(len(name) < 100 and name.replace(".", "").replace("-", "").replace("_", "").isalnum() for name in groups)


@pytest.mark.parametrize(("changed", "pace_s"), [(10, 0.5), (500, 0.5), (1_200, 1.2), (50_000, 2.0)])
def test_the_more_change_unseen_the_more_is_folded(changed: int, pace_s: float) -> None:
    assert unseen_pace_s(changed) == pace_s


@pytest.mark.parametrize(("took_s", "pace_s"), [(-5.0, 0.15), (0.01, 0.15), (0.07, 0.21), (0.2, 0.3), (60.0, 0.3)])
def test_a_page_that_is_open_shows_changes_soon_where_the_machine_has_room(took_s: float, pace_s: float) -> None:
    assert seen_pace_s(took_s) == pytest.approx(pace_s)
