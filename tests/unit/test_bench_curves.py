"""Curves say whether they are flat, and made-up histories hold what they promise."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import options, plot
from bench.console import NOBODY, OPEN, Shown, Turns
from bench.curves import page, run
from bench.curves.curve import Curve, Figure, Point, Shape
from bench.history import rows
from bench.memory import Blocks, Memory
from dashboard import measured

pytestmark = pytest.mark.once


def _curve(shape: Shape, values: list[float], sizes: tuple[int, ...] = (1, 2, 4)) -> Curve:
    points = [Point(size, {"speed": value}) for size, value in zip(sizes, values, strict=True)]
    return Curve("c", "A <curve>", "things", (Figure("speed", "speed & more", shape),), points, "note")


@pytest.mark.parametrize(
    ("shape", "values", "holds", "worst", "at"),
    [
        (Shape.NOT_LESS, [100, 90, 300], True, 0.9, 2),
        (Shape.NOT_LESS, [100, 300, 84], False, 0.84, 4),
        (Shape.NOT_MORE, [100, 10, 115], True, 1.15, 4),
        (Shape.NOT_MORE, [100, 116, 10], False, 1.16, 2),
        (Shape.IN_PROPORTION, [100, 200, 345], True, 0.863, 4),
        (Shape.IN_PROPORTION, [100, 200, 335], False, 0.838, 4),
    ],
)
def test_a_verdict_compares_the_worst_point_with_the_first(
    shape: Shape, values: list[float], holds: bool, worst: float, at: int
) -> None:
    (verdict,) = _curve(shape, values).verdicts
    assert (verdict.holds, verdict.worst, verdict.at) == (holds, pytest.approx(worst, abs=0.001), at)
    assert ("does not hold" in verdict.words) is not holds


def test_one_point_is_no_curve() -> None:
    assert _curve(Shape.NOT_LESS, [5.0], (1,)).verdicts == []
    assert _curve(Shape.NOT_LESS, [0.0, 1.0], (1, 2)).verdicts == []


def test_pages_draw_curves_and_escape() -> None:
    curve = _curve(Shape.NOT_LESS, [100.0, 90.0, 95.0])
    html = page.render(curve)
    assert "A &lt;curve&gt;" in html
    assert "<svg" in html
    (shown,) = measured.curves([curve.to_dict()])
    assert shown.rows == page.rows(curve) == [["1", "100"], ["2", "90.0"], ["4", "95.0"]]
    assert "speed &amp; more" in shown.drawings[0]
    assert plot.plot("t", "x", {"a": [(1, 1.0)]}) == ""


def test_the_largest_sizes_are_measured_only_in_full() -> None:
    usual, full, quick = (options.read([*flags, "--only", "curves"]) for flags in ([], ["--full"], ["--quick"]))
    assert run.names(usual) == list(options.CURVES)
    assert run.sizes("backlog", full)[-1] == run.sizes("history", full)[-1] == 1_000_000
    assert run.sizes("backlog", usual)[-1] == 100_000
    assert run.sizes("in_flight", quick)[-1] == 1_000
    assert set(options.read(["--full"]).parts) == {*options.PARTS, *options.CURVES, *options.MORE}
    assert set(options.read([]).parts) == set(options.PARTS)


def test_memory_is_held_against_what_it_may_be() -> None:
    memory = Memory(10_000, 12_001, 201.0, 6_900, 1_300, [Blocks(4096, 6_900, 1, 1), Blocks(512, 2_900, 1, 1)])
    assert [limit.holds for limit in memory.verdicts] == [False, True, True, True, False]


def test_what_pages_cost_is_told_by_neighbouring_turns() -> None:
    turns = Turns()
    for nobody, with_pages in ((1000.0, 900.0), (500.0, 450.0), (1200.0, 600.0)):  # a machine that others share
        turns.wf_per_s[NOBODY].append(nobody)
        turns.wf_per_s[OPEN].append(with_pages)
    assert turns.loss(OPEN) == pytest.approx(0.1)
    assert turns.usual(OPEN) == 600.0


def test_the_console_is_judged_by_what_the_server_took() -> None:
    figures: dict[str, Any] = dict.fromkeys(Shown.__dataclass_fields__, 1.0)
    shown = Shown(**{**figures, "loss": 0.12, "server_p95_ms": 99.0, "page_p95_ms": 140.0, "dom_p95_ms": None})
    assert [holds for _, holds in shown.verdicts] == [True, False]


def test_a_made_up_history_is_spread_as_real_ones_are() -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = list(rows.workflows(4_000, now))
    states = Counter(row["state"] for row in made)
    assert len({row["id"] for row in made}) == 4_000
    assert states["completed"] > 3_500
    assert states["failed"] > 50
    assert all((row["finished_at"] is None) == (row["duration_ms"] is None) for row in made)
    assert sum(row["finished_at"] is None for row in made) == 60
    assert made == list(rows.workflows(4_000, now))
    opened = list(rows.escalations(4_000, now))
    assert Counter(row["state"] for row in opened) == {"resolved": 72, "open": 8}
    assert {row["workflow_id"] for row in rows.archives(iter(made[:9]))} == {row["id"] for row in made[:9]}


def test_no_part_is_unknown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        options.read(["--only", "nothing", "--json", str(tmp_path / "x")])
    assert "no such part: nothing" in capsys.readouterr().err
