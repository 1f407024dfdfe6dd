"""What the lab reads from journals and from what agents wrote down."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordination import journal as j
from dashboard.lab import drawing, figures, ledger

pytestmark = pytest.mark.once
KILLED = 10_000.0


def attempt(step: str) -> j.Attempt:
    return j.Attempt(step, 0, 1, 0, "lab_extract", b"")


def settled(step: str) -> j.Settled:
    return j.Settled(step, 0, 1, "lab-2", 0, b"1")


def written(*entries: tuple[int, j.Entry]) -> list[j.Numbered]:
    return [j.Numbered(seq, at_ms, entry) for seq, (at_ms, entry) in enumerate(entries, 1)]  # type: ignore[arg-type]


END = j.Finished("completed")
TAKEN = j.TakenUp(2, "peer", "victim", "takeover")


def test_a_takeover_counts_from_the_kill_to_the_epoch_and_to_the_next_step() -> None:
    journals = {
        "a": written(
            (9_000, attempt("1")), (10_900, TAKEN), (10_910, settled("1")), (10_950, attempt("2")), (12_000, END)
        ),
        "b": written((9_000, attempt("1")), (10_050, END)),  # it ended as the host died
        "c": written((9_000, attempt("1"))),
    }
    rows = figures.hosts(journals, "victim", journals, KILLED)
    assert rows[0] == {"id": "a", "taken": 900.0, "next": 950.0, "lost": False}
    assert [row["lost"] for row in rows] == [False, False, True]
    summed = figures.summed(rows, journals, ledger.Ledger())
    assert (summed["completed"], summed["lost"], summed["taken"]) == (2, 1, {"p50": 900.0, "max": 900.0})
    drawn = drawing.draw({**summed, "marks": [{"at": 800.0, "words": "noticed", "tone": "takeover"}]}, running=False)
    assert drawn.count("lab-dot") == 2 and "c, lost" in drawn and "noticed" in drawn


def test_a_task_counts_when_another_agent_settled_it_and_moved_work_when_anything_happened_to_it() -> None:
    journals = {"a": written((9_000, attempt("1")), (13_000, settled("1"))), "b": written((9_000, attempt("1")))}
    assert [row["next"] for row in figures.tasks(journals, {("a", "1"), ("b", "1")}, KILLED)] == [3_000.0, None]
    assert [row["next"] for row in figures.moved(journals, ["a", "b"], KILLED)] == [3_000.0, None]


def test_the_ledger_tells_what_runs_and_what_ran_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text("began 1 w 1\nended 1 w 1\nbegan 1 w 2\nbegan 2 w 2\nended 2 w 2\nbegan 2 w 1\nbegan 2 w")
    found = ledger.read(path)
    assert found.repeated == {("w", "1")}  # step 2 was interrupted, and so had to begin again
    assert found.running == {1: {("w", "2")}, 2: {("w", "1")}}
    assert ledger.read(tmp_path / "none").ended.total() == 0
