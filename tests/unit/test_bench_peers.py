"""What is said of other engines: ratios against runs of the same kind, and a peer that cannot be had is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bench.cells import EVERYSEC, Result
from bench.measurement import Found
from bench.options import PEERS, read
from bench.peers import comparison, environment, runs
from bench.peers.runs import KINDS, OURS, TARGETS, Compared

pytestmark = pytest.mark.once


def _result(engine: str, in_flight: int, wf_per_s: float, p99_ms: float, cpu_ms: float, **more: str) -> Result:
    durability, agents = more.get("durability", EVERYSEC), more.get("agents", "no-op")
    return Result(
        engine, in_flight, durability, agents, wf_per_s, 1.0, 2.0, p99_ms, cpu_ms, 0.1, 1, 100, 0, [wf_per_s]
    )  # fmt: skip


ABOUT = {
    "peer": "Restate",
    "packages": {"restate-sdk": {"version": "1.3.0", "licence": "MIT"}},
    "settings": "2 partitions",
    "durability": "fsync",
    "server": "Server 1",
}


def _found() -> Found:
    peers = [
        _result("restate, in process", 50, 800.0, 100.0, 2.0, durability="fsync"),
        _result("restate, in process", 200, 500.0, 400.0, 4.0, durability="fsync"),
        _result("dbos", 200, 0.0, 0.0, 0.0, durability="fsync"),
        _result("celery canvas", 500, 100.0, 5000.0, 15.0, durability="none"),
    ]
    ours = [_result(OURS, 200, 1000.0, 100.0, 1.0), _result(OURS, 50, 400.0, 50.0, 1.5)]
    before = _result("ganglion", 200, 1.0, 1.0, 1.0)  # in other minutes
    return Found(runs=[before, *ours, *peers], compared=Compared(ours, peers, abouts=[ABOUT]))


def test_ratios_are_against_runs_of_the_same_rounds_at_the_same_level() -> None:
    ratios = _found().ratios()
    assert ratios["restate, in process, 200 in flight: workflows/s"] == 2.0
    assert ratios["restate, in process, 200 in flight: p99"] == 0.25
    assert ratios["restate, in process, 200 in flight: CPU a workflow"] == 0.25
    assert ratios["restate, in process, 50 in flight: workflows/s"] == 0.5
    assert not [
        what for what in ratios if "dbos" in what or "celery" in what
    ]  # nothing to divide by, or no counterpart


def test_tables_name_the_target_the_packages_and_their_licences() -> None:
    found = _found()
    assert ["restate, in process", "200", "2.0", "≥ 1.5", "0.25", "0.25"] in comparison.rows(found.peer_ratios())
    assert ["restate, in process", "50", "0.5", "", "0.50", "0.75"] in comparison.rows(found.peer_ratios())
    assert comparison.setups([ABOUT]) == [["Restate", "restate-sdk 1.3.0 (MIT), Server 1", "2 partitions", "fsync"]]
    assert {TARGETS[(engine, 200)] for engine in ("celery canvas", "restate, service calls", "dbos")} == {12, 4, 18}


def test_each_peer_pins_all_its_packages() -> None:
    assert tuple(KINDS) == PEERS
    for name, kind in KINDS.items():
        pins = (environment.HERE / name / "requirements.txt").read_text().splitlines()
        assert all("==" in line for line in pins)
        named = {line.partition("==")[0] for line in pins}
        assert {package for package in kind.packages if "/" not in package} <= named


def test_peers_are_asked_for_by_name_at_levels_that_ganglion_is_measured_at() -> None:
    assert read([]).peers == ()
    assert read(["--peers"]).peers == PEERS
    chosen = read(["--peers", "dbos,celery", "--levels", "1,200"])
    assert (chosen.peers, chosen.peer_levels) == (("dbos", "celery"), (200,))
    with pytest.raises(SystemExit):
        read(["--peers", "nobody"])


def test_a_peer_that_cannot_be_had_is_left_out_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pins = tmp_path / "here" / "restate"
    pins.mkdir(parents=True)
    (pins / "requirements.txt").write_text("")
    (pins / "package.json").write_text("{}")
    monkeypatch.setattr(environment, "HERE", tmp_path / "here")
    monkeypatch.setattr(environment, "MADE", tmp_path / "made")
    monkeypatch.setattr(environment, "_installers", lambda folder, pins: [[["mkdir", str(folder)]]])
    monkeypatch.setenv("PATH", "/nowhere")
    found, told = Compared(), list[Any]()
    runs.run(dataclasses.replace(read(["--quick"]), peers=("restate",)), found, lambda *said: told.append(said))
    (said,) = found.left_out
    assert said.startswith("Restate: its Python packages could not be installed ([Errno 2] No such file")
    assert found.runs == []
    monkeypatch.setattr(environment, "_installers", lambda folder, pins: [[["/bin/mkdir", str(folder)]]])
    runs.run(dataclasses.replace(read(["--quick"]), peers=("restate",)), found, lambda *said: told.append(said))
    assert found.left_out[1:] == ["Restate: npm is not on PATH: install Node.js 20 or newer"]
