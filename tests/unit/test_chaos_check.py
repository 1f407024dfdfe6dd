"""The checker of the fault runs: what is planted is found, and an honest run passes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coordination import journal as j
from coordination.async_client import Client
from coordination.domain import ErrorInfo
from tests.chaos import faults, plans
from tests.chaos.check import check
from tests.chaos.drive import Driver
from tests.chaos.record import Record, completed
from tests.chaos.report import Report
from tests.chaos.samples import Samples
from tests.chaos.scene import Fault, Scene

pytestmark = pytest.mark.once

_NOW = int(time.time() * 1000)


class Run:
    """A small run as its files tell it: one workflow with a task and a signal, taken over once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: list[Any] = [
            j.Attempt("1", 0, 1, 0, "chaos_work", b""),
            j.Signalled("go", "go-1", b"1"),
            j.TakenUp(2, "host-1-b", "host-0-a", "takeover"),
            j.Settled("1", 0, 1, "agent-0", _NOW, b"7"),
            j.Finished("completed"),
        ]
        self.state, self.epoch, self.result = "completed", 2, "7"
        self.escalations: list[tuple[str, str, str, str]] = []
        self.lost_hosts: list[str] = []
        self.notes = ["start w:1:0 1 10 5", "effect w:1:0 1 10 5", "write w@1 1 20 0", "write w@5 2 21 0"]
        self.acknowledged = [("accepted", "w", completed(7)), ("signal", "w", "go-1")]
        self.fired: list[Fault] = []
        self.agents: list[Any] = []
        self.read_in_redis: list[j.Numbered] = []

    def check(self) -> Report:
        """Write the files and check them."""
        record = Record(self.folder / "acknowledged.log")
        for line in self.acknowledged:
            record.add(*line)
        notes = [note.rsplit(" ", 1) for note in self.notes]
        (self.folder / "ledger.log").write_text("".join(f"{note} {_NOW + int(ms)}\n" for note, ms in notes))
        self._write_history(self.folder / "history.sqlite3")
        crew = SimpleNamespace(
            folder=self.folder, ledger_path=self.folder / "ledger.log", history_path=self.folder / "history.sqlite3",
            agents=self.agents,
        )  # fmt: skip
        scene = Scene(crew, None, None, seed=1)  # type: ignore[arg-type]
        scene.fired = self.fired
        samples = Samples(None, None, seed=1)  # type: ignore[arg-type]
        samples.add("w", self.read_in_redis or self.numbered)
        report = Report(1, "")
        check(report, scene, record, samples)
        record.close()
        return report

    @property
    def numbered(self) -> list[j.Numbered]:
        """The journal as the history keeps it."""
        return [j.Numbered(seq, _NOW + 10 * seq, entry) for seq, entry in enumerate(self.entries, 1)]

    def _write_history(self, path: Path) -> None:
        numbered = self.numbered
        with sqlite3.connect(path) as database:
            for table in (
                "dashboard_workflow (id, type, state, seq, epoch, open_escalations, duration_ms)",
                "dashboard_workflowarchive (workflow_id, result, journal)",
                "dashboard_escalation (id, state, reason, workflow_id)",
                "dashboard_hostevent (host, at, kind)",
            ):
                database.execute(f"CREATE TABLE {table}")
            row = ("w", "chaos", self.state, len(numbered), self.epoch, 0, 50)
            database.execute("INSERT INTO dashboard_workflow VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            kept = ("w", self.result, j.encode_archive(numbered))
            database.execute("INSERT INTO dashboard_workflowarchive VALUES (?, ?, ?)", kept)
            database.executemany("INSERT INTO dashboard_escalation VALUES (?, ?, ?, ?)", self.escalations)
            lost = [(host, f"@{_NOW / 1000}") for host in self.lost_hosts]
            stamp = "strftime('%Y-%m-%d %H:%M:%f', substr(?2, 2), 'unixepoch')"
            database.executemany(f"INSERT INTO dashboard_hostevent VALUES (?1, {stamp}, 'lost')", lost)


def test_an_honest_run_passes(tmp_path: Path) -> None:
    report = Run(tmp_path).check()
    assert not report.broken
    assert (report.accepted, report.completed, report.effects, report.fenced_writes) == (1, 1, 1, 2)


def _doubled(run: Run) -> None:
    run.notes.append("start w:1:0 1 11 6")


def _beside(run: Run) -> None:
    run.notes.append("start w:1:0 2 11 6")


def _effect_twice(run: Run) -> None:
    run.notes.append("effect w:1:0 1 10 6")


def _let_go_late(run: Run) -> None:
    run.notes.append("let w@park 1 20 200")


def _journal_differs(run: Run) -> None:
    run.read_in_redis = run.numbered
    run.read_in_redis[3] = j.Numbered(4, _NOW + 40, j.Settled("1", 0, 1, "agent-0", _NOW, b"8"))


def _late(run: Run) -> None:
    run.notes.append("start w:1:0 2 10 500")


def _no_effect(run: Run) -> None:
    run.notes.remove("effect w:1:0 1 10 5")


def _stale(run: Run) -> None:
    run.notes.append("write w@5 1 20 0")


def _lost(run: Run) -> None:
    run.acknowledged.append(("accepted", "v", completed(1)))


def _wrong(run: Run) -> None:
    run.result = "8"


def _signal_lost(run: Run) -> None:
    run.acknowledged.append(("signal", "w", "go-2"))


def _signal_twice(run: Run) -> None:
    run.entries.insert(3, j.Signalled("go", "go-1", b"1"))


def _history_differs(run: Run) -> None:
    run.epoch = 1


def _escalation_open(run: Run) -> None:
    run.escalations.append(("w~1~1", "open", "final_error", "w"))


def _robbed(run: Run) -> None:
    run.fired.append(Fault("server_stop", "server", _NOW - 1000, _NOW))
    run.lost_hosts.append("host-0-a")


def _fence_idle(run: Run) -> None:
    run.fired.append(Fault("host_zombie", "host-0", _NOW, _NOW, "host-0-a"))


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (_doubled, "while pid 10 lived"),
        (_beside, "while pid 10 lived in attempt 1"),
        (_effect_twice, "its effect happened again"),
        (_let_go_late, "under an epoch that had ended"),
        (_journal_differs, "differs from Redis from entry 4 on"),
        (_late, "after it was settled"),
        (_no_effect, "are not in the ledger"),
        (_stale, "under an epoch that had ended"),
        (_lost, "are not in the history as ended"),
        (_wrong, "ended otherwise"),
        (_signal_lost, "are in no journal"),
        (_signal_twice, "written twice"),
        (_history_differs, "the history shows"),
        (_escalation_open, "escalations are open"),
        (_robbed, "living hosts were declared dead"),
        (_fence_idle, "no stale write was tried and refused"),
    ],
)
def test_what_is_planted_is_found(tmp_path: Path, plant: Callable[[Run], None], said: str) -> None:
    run = Run(tmp_path)
    plant(run)
    broken = run.check().broken
    assert any(said in line for line in broken), broken


def test_faults_without_a_trace_have_not_fired(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.fired = [Fault(name, "somewhere", _NOW, _NOW) for name in faults.ALL]
    broken = run.check().broken
    said = {line.partition(" had no effect")[0] for line in broken if " had no effect" in line}
    assert said == set(faults.ALL)


def _failed(run: Run) -> None:
    error = ErrorInfo("Boom", "it failed")
    run.entries[1:1] = [j.Erred("1", 0, 1, "agent-0", _NOW, error), j.Attempt("1", 0, 2, 0, "chaos_work", b"")]


def _timed_out(run: Run) -> None:
    run.entries[1:1] = [j.TimedOut("1", 0, 1, "agent-0", _NOW), j.Attempt("1", 0, 2, 0, "chaos_work", b"")]


def _killed(run: Run) -> None:
    run.agents.append(SimpleNamespace(ends=[(10, _NOW / 1000 + 0.02)]))


@pytest.mark.parametrize(("explain", "repeated"), [(_failed, 0), (_timed_out, 1), (_killed, 1)])
def test_a_later_attempt_may_start_when_something_explains_it(
    tmp_path: Path, explain: Callable[[Run], None], repeated: int
) -> None:
    run = Run(tmp_path)
    explain(run)
    run.notes.append("start w:1:0 2 11 40")
    report = run.check()
    assert (report.broken, report.repeat_runs) == ([], repeated)


@pytest.mark.parametrize(("start_ms", "found"), [(300, False), (5_000, True)])
def test_an_agent_may_start_what_it_claimed_before_the_runs_own_twin_settled_it(
    tmp_path: Path, start_ms: int, found: bool
) -> None:
    run = Run(tmp_path)
    run.entries[3] = j.Settled("1", 0, 1, "twin", _NOW, b"7")
    run.notes[:2] = [f"start w:1:0 1 10 {start_ms}", f"effect w:1:0 1 10 {start_ms}"]
    assert any("after it was settled" in line for line in run.check().broken) is found


def test_a_seed_makes_the_same_workflows_in_any_order() -> None:
    there = [plans.make(7, number) for number in range(50)]
    back = [plans.make(7, number) for number in reversed(range(50))]
    assert there == back[::-1]
    assert there != [plans.make(8, number) for number in range(50)]


def test_a_seed_makes_the_same_chances_in_any_order(tmp_path: Path) -> None:
    """What is sent again, and when a signal is sent, depends on nothing but the workflow."""

    def drawn(seed: int, *names: str) -> dict[str, float]:
        driver = Driver(cast(Client, None), Record(tmp_path / "record"), seed, 1)
        return {f"{use}/{name}": driver._chance(use, name).random() for name in names for use in ("twice", "signal")}

    assert drawn(7, "a", "b") == drawn(7, "b", "a")
    assert len({*drawn(7, "a", "b").values(), *drawn(8, "a", "b").values()}) == 8
