"""What people see of a journal."""

from __future__ import annotations

import msgspec
import pytest

from coordination import history
from coordination import journal as j
from coordination.domain import ErrorInfo, StepKind, StepState, StepView


def steps(*entries: j.AnyEntry) -> dict[str, StepView]:
    numbered = [j.Numbered(number + 1, 1000 + number, entry) for number, entry in enumerate(entries)]
    return {view.id: view for view in history.steps(numbered)}


ATTEMPT = j.Attempt("1", 0, 1, 0, "extract", b"d", b'{"page":1}')
AGAIN = j.Attempt("1", 0, 2, 0, "extract", b"d")
ERROR = ErrorInfo("ValueError", "no page")
ERRED = j.Erred("1", 0, 1, "a1", 1000, ERROR)
SETTLED = j.Settled("1", 0, 2, "a2", 1002, b'{"facts":[]}')


def test_a_task_with_its_attempts() -> None:
    view = steps(ATTEMPT, ERRED, AGAIN, SETTLED)["1"]
    assert (view.kind, view.state, view.name) == (StepKind.TASK, StepState.SUCCEEDED, "extract")
    assert (view.input, view.output) == ({"page": 1}, {"facts": []})
    first, second = view.attempts
    assert (first.outcome, first.agent, first.error) == ("failed", "a1", ERROR)
    assert (second.outcome, second.agent, second.started_ms, second.finished_ms) == ("succeeded", "a2", 1002, 1003)


def test_states_on_the_way() -> None:
    assert steps(ATTEMPT)["1"].state is StepState.QUEUED
    assert steps(ATTEMPT, ERRED)["1"].state is StepState.BACKOFF
    assert steps(ATTEMPT, j.TimedOut("1", 0, 1, "a", 1000))["1"].attempts[0].outcome == "timed_out"
    escalated = j.Escalated("1", "w~1~1", "max_retries_exceeded")
    assert steps(ATTEMPT, ERRED, escalated)["1"].escalation_id == "w~1~1"
    assert steps(ATTEMPT, j.Finished("cancelled"))["1"].state is StepState.CANCELLED


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("supply", StepState.SUCCEEDED),
        ("skip", StepState.SKIPPED),
        ("fail", StepState.FAILED),
        ("retry", StepState.BACKOFF),
    ],
)
def test_decisions(action: str, state: StepState) -> None:
    escalated = j.Escalated("1", "w~1~1", "final_error")
    decided = j.Decided("1", "w~1~1", action, "anna", "d", b"5")
    assert steps(ATTEMPT, ERRED, escalated, decided)["1"].state is state


def test_an_answer_that_did_not_fit_is_no_output() -> None:
    asked = j.Escalated("1", "w~1~1", "human_input_requested", "who?")
    again = j.Escalated("1", "w~1~2", "human_input_requested", "who?")
    answer = j.Decided("1", "w~1~1", "supply", "anna", "d", b"5")
    view = steps(asked, answer, again)["1"]
    assert (view.state, view.output, view.finished_ms, view.escalation_id) == (StepState.ESCALATED, None, 0, "w~1~2")


def test_signals_go_to_the_first_that_waits_or_waited_for_them() -> None:
    views = steps(
        j.Signalled("go", "s1", b"1"),
        j.SignalAwaited("1", "go"),
        j.SignalAwaited("2", "go"),
        j.SignalAwaited("3", "go", 5000),
        j.Signalled("other", "s2", b"9"),
        j.Signalled("go", "s3", b"2"),
        j.TimerFired("3"),
    )
    assert [(view.state, view.output) for view in views.values()] == [
        (StepState.SUCCEEDED, 1), (StepState.SUCCEEDED, 2), (StepState.FAILED, None),
    ]  # fmt: skip


def test_records_children_and_timers() -> None:
    views = steps(
        j.Recorded("1", "when", b"3"),
        j.Recorded("2", "bad", b"null", ERROR),
        j.ChildStarted("3", "c1", "kind", b"d", b"1"),
        j.ChildEnded("3", "c1", "failed", None, ERROR),
        j.ChildStarted("4", "c2", "kind", b"d", b"1", ERROR),
        j.TimerSet("5", 9000, "sleep 8 s"),
    )
    assert [view.state for view in views.values()] == [
        StepState.SUCCEEDED, StepState.FAILED, StepState.FAILED, StepState.FAILED, StepState.WAITING,
    ]  # fmt: skip
    assert views["3"].child_id == "c1" and views["4"].child_id == "" and views["4"].error == ERROR
    assert views["5"].due_ms == 9000


def test_a_steps_next_retry_is_what_its_coordinator_computes() -> None:
    from coordination.backoff import backoff_ms

    entries = [j.Numbered(1, 1000, ATTEMPT), j.Numbered(2, 5000, ERRED)]
    [view] = history.steps(entries)
    history.add_next_retry(view, entries, "w1", 1.0, 60.0)
    assert view.next_retry_ms == 5000 + backoff_ms("w1", "1", 1, 1.0, 60.0)


def test_every_kind_of_entry_can_be_shown() -> None:
    every = [
        ATTEMPT, SETTLED, ERRED, j.TimerSet("1", 1), j.TimerFired("1"), j.SignalAwaited("1", "s"),
        j.Recorded("1", "n", b"1"), j.ChildStarted("1", "c", "t", b"d"),
        j.Escalated("1", "x", "final_error"), j.TimedOut("1", 0, 1, "a", 1),
        j.Progressed("1", "n"), j.Finished("failed", ERROR), j.Signalled("s", "i", b"{}"),
        j.Decided("1", "x", "retry", "anna", "d"), j.ChildEnded("1", "c", "completed", b"1"),
        j.CancelRequested("anna", "why"), j.RetryNow("1", "anna"), j.TakenUp(2, "h", "", "resume"),
        j.Paused("anna", "why"), j.Resumed("anna"), j.Restarted("1", 1, 1, "anna"), j.Terminated("anna", "why"),
    ]  # fmt: skip
    assert {type(entry) for entry in every} == set(j.Entry.__subclasses__())
    numbered = [j.Numbered(number + 1, 1, entry) for number, entry in enumerate(every)]  # type: ignore[arg-type]
    rows = history.rows(numbered)
    assert [row.seq for row in rows] == list(range(1, len(every) + 1))
    assert len({row.kind for row in rows}) == len(every)
    assert msgspec.json.encode(rows)
    assert all("digest" not in row.data for row in rows)
    assert j.decode_archive(j.encode_archive(numbered)) == numbered


def test_a_value_that_is_no_json_is_shown_as_bytes() -> None:
    [row] = history.rows([j.Numbered(1, 1, j.Signalled("s", "i", b"\xff\x00"))])
    assert row.data["value"] == "ff00"
