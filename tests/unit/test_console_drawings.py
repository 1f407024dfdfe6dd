"""Drawings of steps: all of them are there, nothing from outside is markup, nothing is styled inline."""

from __future__ import annotations

from coordination.domain import AttemptView, JournalRow, StepKind, StepState, StepView
from dashboard import charts, graph, timeline


def step(ident: str, name: str = "extract", state: StepState = StepState.SUCCEEDED) -> StepView:
    attempts = [AttemptView(1, "failed", "a-1", 10, 40, 90), AttemptView(2, "succeeded", "a-2", 100, 150, 300)]
    return StepView(
        id=ident, kind=StepKind.TASK, name=name, state=state, attempts=attempts, started_ms=10, finished_ms=300
    )


def drawn(steps: list[StepView], selected: str = "") -> str:
    return str(graph.draw(steps, selected, lambda one: f"?step={one.id}", 1_000))


def test_branches_of_a_gather_stand_side_by_side_in_a_frame() -> None:
    picture = drawn([step("1"), step("2.0.1"), step("2.0.2"), step("2.1.1"), step("3")], selected="2.1.1")
    assert picture.count('class="node ') == 5
    assert "2 in parallel" in picture
    assert picture.count("aria-current") == 1
    assert 'href="?step=2.0.2"' in picture


def test_five_hundred_steps_are_all_there() -> None:
    steps = [step(f"1.{index}.1") for index in range(100)] + [step(str(index)) for index in range(2, 402)]
    picture = drawn(steps)
    assert picture.count('class="node ') == 500
    assert "100 in parallel" in picture


def test_gathers_inside_gathers() -> None:
    assert drawn([step("1.0.1.0.1"), step("1.0.1.1.1"), step("1.1.1")]).count('class="gather"') == 2


def test_names_from_outside_are_escaped_and_nothing_is_styled_inline() -> None:
    steps = [step("1", "<script>alert(1)</script>")]
    rows = [JournalRow(1, 50, "taken_up", summary='"><b>host</b>')]
    for picture in (drawn(steps), str(timeline.draw(steps, rows, 0, 400, True))):
        assert "<script" not in picture and "<b>" not in picture
        assert "style=" not in picture and "onclick" not in picture


def test_the_timeline_tells_queue_from_run_and_marks_takeovers() -> None:
    rows = [JournalRow(3, 120, "taken_up", summary="takeover: h2 took up from h1, epoch 2")]
    picture = str(timeline.draw([step("1")], rows, 0, 400, False))
    assert picture.count('class="queue-time"') == 2
    assert picture.count('class="run-time ') == 2
    assert picture.count('class="takeover-line"') == 1
    assert "now-line" not in picture


def test_a_course_without_measures_says_so() -> None:
    assert "shows up here" in str(charts.course([], [], "done", "finished"))
    assert charts.sparkline([]).startswith("<svg")
