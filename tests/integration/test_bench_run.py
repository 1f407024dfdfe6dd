"""A short measurement of the central brain and of a crash, over real processes, and the page of the last one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client as Browser

from bench import central, page
from bench.cells import EVERYSEC, Cell, Result, Timing, measure
from bench.console import Shown
from bench.curves.curve import Curve, Figure, Point, Shape
from bench.lists import Listed
from bench.measurement import FSYNC, NONE, Found
from bench.peers.runs import OURS
from bench.recovery import Recovery
from bench.report import article
from bench.stack import Bare
from dashboard.views import performance

pytestmark = pytest.mark.once

BRIEF = Timing(warm_s=0.2, window_s=1.0, repeats=1)


def _result(engine: str, in_flight: int, durability: str, agents: str, wf_per_s: float, p99_ms: float) -> Result:
    return Result(engine, in_flight, durability, agents, wf_per_s, 1.0, 2.0, p99_ms, 1.1, 0.1, 1, 100, 0, [wf_per_s])


SHOWN = Shown(
    20, 900.0, 850.0, 820.0, 0.05, 0.09, 500, 800.0, 700.0, 15.0, 95.0, 20.0, 120.0, 240.0, 90.0, 400.0, 40, 500, 0.2
)  # fmt: skip


def _found() -> Found:
    return Found(
        runs=[
            _result("ganglion", 1, EVERYSEC, "no-op", 100.0, 10.0),
            _result("ganglion", 200, EVERYSEC, "no-op", 1000.0, 200.0),
            _result("ganglion", 200, FSYNC, "no-op", 500.0, 400.0),
            _result("central", 200, NONE, "no-op", 250.0, 800.0),
        ],
        recoveries=[
            Recovery("ganglion", "a host", 200, 100, 0, 0.9, 1.0, 1.2),
            Recovery("central", "the <brain>", 200, 200, 200, None, None, None),
        ],
        curves=[
            Curve(
                "backlog",
                "Backlog",
                "queued",
                (Figure("wf_per_s", "wf/<s>", Shape.NOT_LESS),),
                [Point(1_000, {"wf_per_s": 900.0}), Point(10_000, {"wf_per_s": 700.0})],
                "Held back.",
            )
        ],
        console=SHOWN,
        lists=[Listed("PostgreSQL", 1_000_000, "search, <two> words", 12.0, 34.5)],
    )


@pytest.mark.parametrize("mode", [[], ["--event-driven"]])
def test_the_central_brain_completes_what_it_is_given(mode: list[str]) -> None:
    with Bare() as bare:
        bare.run_python("-m", "bench.central", *mode, announces=central.READY)
        result = measure(bare, Cell("central", 5, NONE, client=("--engine", "central")), BRIEF)
        names = {process.name for process in bare.processes}
    assert result.failed == 0
    assert result.completed > 0
    assert {"server", "workload", "central brain"} <= names
    assert result.cpu_by_process["central brain"] > 0
    assert not bare.home.exists()


def test_ratios_compare_only_what_was_measured_alike() -> None:
    ratios = _found().ratios()
    assert ratios["central; no-op agents, 200 in flight: workflows/s"] == 4.0
    assert ratios["central; no-op agents, 200 in flight: p99"] == 0.25
    assert ratios["fsync against everysec, 200 in flight: workflows/s"] == 0.5
    assert len(ratios) == 3


ABOUT: dict[str, Any] = {
    "at": "2026-01-02T03:04:05+00:00",
    "took_s": 12.0,
    "machine": {"cores": 2, "processor": "p", "memory_gb": 1, "system": "s", "load_at_start": 0, "fdatasync_ms": 1},
    "versions": {},
    "settings": {},
    "warnings": ["The machine was busy."],
}


def test_the_page_needs_nothing_from_elsewhere_and_escapes() -> None:
    html = page.render(ABOUT, _found())
    assert "<svg" in html
    assert "the &lt;brain&gt;" in html
    assert "<script" not in html
    assert "src=" not in html
    assert "<link" not in html


def test_the_console_shows_the_last_measurement(db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    person = User.objects.create_user("reader", password="a long enough password")
    person.groups.add(Group.objects.get(name="viewer"))
    browser = Browser()
    browser.force_login(person)
    monkeypatch.setattr(performance, "LAST", tmp_path / "last.json")
    assert "Nothing has been measured here" in browser.get("/performance/").content.decode()
    found = _found()
    found.compared.ours.append(_result(OURS, 200, EVERYSEC, "no-op", 1000.0, 100.0))
    found.compared.runs.append(_result("restate, calls", 200, EVERYSEC, "no-op", 400.0, 500.0))
    everything = {**ABOUT, **found.to_dict(), "article": article(found)}
    (tmp_path / "last.json").write_text(json.dumps(everything))
    shown = browser.get("/performance/").content.decode()
    assert "The machine was busy." in shown
    assert "the &lt;brain&gt;" in shown
    assert "event-driven" in shown.lower()
    assert "0.78 × at 10,000" in shown
    assert 'aria-label="wf/&lt;s&gt;"' in shown
    assert "pages p95 95 ms at the server, at most 100" in shown
    assert "search, &lt;two&gt; words" in shown
    assert "restate, calls" in shown and "2.5" in shown
    (tmp_path / "last.json").write_text('{"runs": [')
    assert "Nothing has been measured here" in browser.get("/performance/").content.decode()
    assert Browser().get("/performance/").status_code == 302
