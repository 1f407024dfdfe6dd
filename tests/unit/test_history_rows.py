"""Rows of the history: fingerprints, headlines and summaries."""

from __future__ import annotations

from typing import Any

import pytest

from coordination.domain import ErrorInfo, EscalationSnapshot, EscalationState, Reason
from dashboard.rows import escalation_values, fingerprint, headline, normalise, summarise


def escalated(message: str = "m", **changes: Any) -> EscalationSnapshot:
    values: dict[str, Any] = {
        "id": "w~1~1", "workflow_id": "w", "workflow_type": "legal_review", "step": "1", "task_type": "extract",
        "reason": Reason.FINAL_ERROR, "state": EscalationState.OPEN, "errors": [ErrorInfo("FinalError", message)],
    }  # fmt: skip
    return EscalationSnapshot(**{**values, **changes})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("row 17 of 'a.csv' is broken", "row 4711 of 'b.csv' is broken"),
        ('no carrier "DHL"', 'no carrier "UPS"'),
        ("order 6f9619ff-8b86-d011-b42d-00c04fc964ff is gone", "order 11111111-2222-3333-4444-555555555555 is gone"),
        ("Timeout after 30.5 s at 2026-11-21", "timeout after 12.25 s at 2025-01-02"),
        ("first line\nof many", "first line\nand another"),
    ],
)
def test_the_same_cause_has_one_fingerprint(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)
    assert fingerprint(escalated(one)) == fingerprint(escalated(other))


def test_other_causes_have_others() -> None:
    base = escalated("the date is missing")
    assert fingerprint(base) != fingerprint(escalated("the party is missing"))
    assert fingerprint(base) != fingerprint(escalated("the date is missing", task_type="validate"))
    assert fingerprint(base) != fingerprint(escalated("", errors=[ErrorInfo("Other", "the date is missing")]))


def test_a_cause_has_a_frame_and_an_agent_version_but_no_line() -> None:
    def raised(line: int, function: str, version: str = "1") -> str:
        trace = f'  File "/srv/a.py", line {line}, in outer\n    x()\n  File "/srv/b.py", line {line}, in {function}\nE'
        return fingerprint(escalated("", errors=[ErrorInfo("E", "m", traceback=trace, agent_version=version)]))

    assert raised(3, "parse") == raised(9, "parse")
    assert len({raised(3, "parse"), raised(3, "load"), raised(3, "parse", "2")}) == 3


def test_headlines_say_what_failed_in_words() -> None:
    assert headline(escalated("no text layer")) == "extract: no text layer"
    again = escalated("502", reason=Reason.MAX_RETRIES_EXCEEDED, attempts=4)
    assert headline(again) == "extract failed 4 times: 502"
    assert headline(escalated(reason=Reason.NO_CAPABLE_AGENT, errors=[])) == "No capable agent for extract"
    asked = escalated(reason=Reason.HUMAN_INPUT_REQUESTED, question="Who signs?", errors=[])
    assert headline(asked) == "Who signs?"
    assert len(headline(escalated("x" * 900))) == 300
    for reason in Reason:
        assert headline(escalated(reason=reason))


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ("retry", "dispatched"),
        ("edit", "dispatched"),
        ("supply", "succeeded"),
        ("skip", "succeeded"),
        ("fail", "failed"),
    ],
)
def test_a_retry_has_not_succeeded_by_being_clicked(action: str, outcome: str) -> None:
    import datetime as dt

    resolved = escalated(state=EscalationState.RESOLVED, action=action, version=2)
    assert escalation_values(resolved, dt.datetime.now(dt.UTC))["outcome"] == outcome


def test_summaries_hold_what_people_search_for_and_no_secret() -> None:
    value = {"file": {"name": "lease.pdf", "sha256": "ff" * 32, "size": 12}, "password": "hunter2", "tags": ["a", "b"]}
    assert summarise(value, {"team": "blue"}) == "blue · lease.pdf · 12 · a · b"
    assert len(summarise({str(n): "x" * 200 + str(n) for n in range(50)})) <= 300
    assert summarise(None) == ""
    assert "\x00" not in summarise("a\x00b")
