"""Drawings of steps: all of them are there, nothing from outside is markup, nothing is styled inline."""

from __future__ import annotations

import re

from coordination.domain import AttemptView, JournalRow, StepKind, StepState, StepView
from dashboard import charts, graph, timeline
from dashboard.folding import ALL, Fold, fold
from dashboard.templatetags import console


def step(ident: str, name: str = "extract", state: StepState = StepState.SUCCEEDED) -> StepView:
    attempts = [AttemptView(1, "failed", "a-1", 10, 40, 90), AttemptView(2, "succeeded", "a-2", 100, 150, 300)]
    return StepView(
        id=ident, kind=StepKind.TASK, name=name, state=state, attempts=attempts, started_ms=10, finished_ms=300
    )


def drawn(steps: list[StepView], selected: str = "", *opened: str) -> str:
    return str(graph.draw(fold(steps, opened), selected, lambda one: f"?step={one.id}", 1_000))


def timed(steps: list[StepView], rows: list[JournalRow], live: bool = False, zoom: int = 1) -> str:
    scale = timeline.Scale(0, 400, timeline.busy_times(steps, 400), zoom)
    return str(timeline.draw(fold(steps), rows, scale, lambda one: f"?step={one.id}", now_ms=400, live=live))


def test_branches_of_a_gather_stand_side_by_side_in_a_frame() -> None:
    picture = drawn([step("1"), step("2.0.1"), step("2.0.2"), step("2.1.1"), step("3")], "2.1.1")
    assert picture.count('class="node ') == 5
    assert "2 in parallel" in picture
    assert picture.count("aria-current") == 1
    assert 'href="?step=2.0.2"' in picture


def test_five_hundred_steps_are_a_few_lines_and_all_there_when_opened() -> None:
    steps = [step(f"1.{index}.1") for index in range(100)] + [step(str(index)) for index in range(2, 402)]
    steps[7].state, steps[450].state = StepState.FAILED, StepState.RUNNING
    folded = fold(steps)
    assert len(folded) < 25
    assert {line.id for line in folded if isinstance(line, StepView)} >= {"1.7.1", "352"}, "what needs a look is shown"
    assert sum(len(line.steps) for line in folded if isinstance(line, Fold)) >= 480
    assert "100 in parallel" in drawn(steps)
    whole = drawn(steps, "", ALL)
    assert len(re.findall(r'class="node ', whole)) == 500
    assert len(fold(steps, ["1"])) == len(folded) - 2 + 100, (
        "one fold opened: its steps instead of it and of step 1.7.1"
    )


def test_gathers_inside_gathers() -> None:
    assert drawn([step("1.0.1.0.1"), step("1.0.1.1.1"), step("1.1.1")]).count('class="gather"') == 2
    inner = [step(f"1.0.1.{index}.1") for index in range(40)]
    (line,) = [one for one in fold([*inner, step("1.1.1")]) if isinstance(one, Fold)]
    assert (line.id, line.branches) == ("1.0.1", 40)


def test_names_from_outside_are_escaped_and_nothing_is_styled_inline() -> None:
    steps = [step("1", "<script>alert(1)</script>")]
    many = [step(f"1.{index}.1", "<script>alert(1)</script>") for index in range(50)]
    rows = [JournalRow(1, 50, "taken_up", summary='"><b>host</b>')]
    for picture in (drawn(steps), drawn(many), timed(steps, rows, live=True), timed(many, rows)):
        assert "<script" not in picture and "<b>" not in picture
        assert "style=" not in picture and "onclick" not in picture


def test_the_timeline_tells_queue_from_run_and_marks_takeovers() -> None:
    rows = [JournalRow(3, 120, "taken_up", summary="takeover: h2 took up from h1, epoch 2")]
    picture = timed([step("1")], rows)
    assert picture.count('class="queue-time"') == 2
    assert picture.count('class="run-time ') == 2
    assert picture.count('class="takeover-line"') == 1
    assert "now-line" not in picture
    assert "now-line" in timed([step("1")], rows, live=True)


def test_idle_time_is_collapsed_and_places_keep_their_order() -> None:
    hour = 3_600_000
    scale = timeline.Scale(0, 3 * hour, [(0, 2_000), (2 * hour, 2 * hour + 1_000)])
    assert sum(stretch.collapsed for stretch in scale.stretches) == 2
    moments = [0, 500, 2_000, 2_100, hour, 2 * hour, 2 * hour + 500, 2 * hour + 1_000, 3 * hour]
    places = [scale.x(at) for at in moments]
    assert places == sorted(places)
    assert scale.x(2_000) - scale.x(0) > 300, "two seconds of work are wide, although hours passed"
    assert abs(scale.width - timeline.PLOT) <= 2
    assert timeline.Scale(0, 3 * hour).x(2_000) < 1, "in true time they are a dot"
    assert timeline.Scale(0, 3 * hour, [(0, 2_000)], 4).width > 3 * timeline.PLOT
    labels = [words for _, words in scale.ticks()]
    assert labels[0] == "start"
    assert len(labels) >= 3


def test_a_course_without_measures_says_so() -> None:
    assert "shows up here" in str(charts.course([], [[]], ["done"], "finished"))
    assert charts.sparkline([]).startswith("<svg")


def test_a_bar_is_honest_and_shows_whatever_is_more_than_nothing() -> None:
    def filled(value: float, of: float) -> float:
        found = re.search(r'class="fill" width="([\d.]+)"', console.bar(value, of))
        assert found
        return float(found[1])

    assert [filled(*one) for one in ((0, 20_000), (9, 20_000), (5_000, 20_000), (30_000, 20_000), (1, 0))] == [
        0, 1.5, 25, 100, 0,
    ]  # fmt: skip
