"""The runner of the tests itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import run
from tests.stack import wait_until

HANGS = """
import pathlib
import time


def test_steady():
    pass


def test_that_hangs():
    pathlib.Path(__file__).with_name("hangs").touch()
    try:
        time.sleep(600)
    finally:
        time.sleep(600)
"""


@pytest.mark.once
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_hangs_is_ended_and_says_where_it_stood(tmp_path: Path, wrapped: bool) -> None:
    """pytest is started by itself, or below what starts servers for it."""
    (tmp_path / "test_hangs.py").write_text(HANGS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-n", "1", "-c", str(tmp_path / "pytest.ini"), f"--junitxml={report}"]
    command = ["/bin/sh", "-c", '"$0" "$@"; exit $?', *command] if wrapped else command
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([*command, str(tmp_path)], stdout=log, stderr=log)
        try:
            wait_until((tmp_path / "hangs").exists, 100)
            run._end(process)
        finally:
            process.kill()
            process.wait()
    said = (tmp_path / "log").read_text()
    assert "in test_that_hangs" in said
    assert "test_steady" in report.read_text()
    assert "test_that_hangs" in report.read_text()


def test_a_stage_has_its_time_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BUILD", tmp_path / "build")
    monkeypatch.setattr(run, "_LEAST_S", 0.5)
    monkeypatch.setattr(run, "_STAGE_S", 0.0)
    runner = run.Run([])
    with (tmp_path / "log").open("w+") as log:
        runner.stage(run.Stage("waiting", ["sleep", "600"], is_pytest=False), log)
    assert runner.total.failed == 1
    assert runner.lines[0].startswith("ended after 0 s, its own time or that of all: sleep 600")
