"""The runner of the tests itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import run

HANGS = """
import time


def test_steady():
    pass


def test_that_hangs():
    try:
        time.sleep(600)
    finally:
        time.sleep(600)
"""


@pytest.mark.once
def test_a_stage_that_hangs_is_ended_in_time_and_says_where_it_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "BUILD", tmp_path / "build")
    monkeypatch.setattr(run, "_LEAST_S", 25.0)
    monkeypatch.setattr(run, "_STAGE_S", 0.0)
    (tmp_path / "test_hangs.py").write_text(HANGS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-n", "1", "-c", str(tmp_path / "pytest.ini"), str(tmp_path)]
    runner = run.Run([])
    with (tmp_path / "log").open("w+") as log:
        runner.stage(run.Stage("hanging", command), log)
    said = (tmp_path / "log").read_text()
    assert runner.total.failed
    assert "in test_that_hangs" in said
    assert runner.lines[0].startswith("ended after 25 s")
