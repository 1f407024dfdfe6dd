"""What must hold after a run, read from the history, the ledger, and every acknowledgement."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from coordination import journal as j
from coordination.domain import Reason
from tests.chaos import faults_code, history, ledger
from tests.chaos.crew import Crew
from tests.chaos.effects import check_effects
from tests.chaos.evidence import Evidence
from tests.chaos.history import Kept
from tests.chaos.measure import Measures
from tests.chaos.record import FAILED, Record
from tests.chaos.report import Report, Spread
from tests.chaos.samples import Samples
from tests.chaos.scene import SUSPECTED_MS, Scene, cut_off
from tests.chaos.targets import missed
from tests.chaos.traces import check_traces

_CLOCK_MS = 50  # between the server's clock and a host's
_FEW = 3  # cases that are named


def check(report: Report, scene: Scene, record: Record, samples: Samples) -> None:
    """Fill the report from everything that was noted."""
    began = time.monotonic()
    crew = scene.crew
    report.faults = dict(Counter(fault.name for fault in scene.fired))
    report.fired = scene.fired
    report.broken += scene.broken
    report.stale_epoch_tried = int(sum(fault.figures.get("stale_tried", 0) for fault in scene.fired))
    evidence = Evidence(crew.folder / "evidence.sqlite3")
    try:
        evidence.load(ledger.read(crew.ledger_path), record)
        measures = Measures(scene)
        results = _Results(report, evidence)
        for kept in history.everything(crew.history_path):
            measures.add(kept)
            results.add(kept)
            samples.compare(report, kept)
        evidence.index()
        results.finish()
        measures.fill(report)
        _check_epochs(report, evidence, scene)
        _check_acknowledgements(report, evidence)
        _check_escalations(report, crew, evidence, scene)
        check_effects(report, scene, evidence)
        check_traces(report, scene.fired, evidence)
        _check_takeovers(report, crew, scene)
        report.missed = missed(report)
    finally:
        evidence.close()
    report.checked_s = round(time.monotonic() - began, 1)


class _Results:
    """Each accepted workflow has ended as it must, and its journal is whole and is what the history shows."""

    def __init__(self, report: Report, evidence: Evidence) -> None:
        self._report = report
        self._evidence = evidence
        asked = evidence.ask("SELECT id, what FROM acknowledged WHERE kind = 'accepted'")
        self._expected: dict[str, str] = {str(identity): str(outcome) for identity, outcome in asked}
        self._wrong: list[str] = []
        report.accepted = len(self._expected)

    def add(self, kept: Kept) -> None:
        """Check one workflow of the history."""
        if kept.journal:
            _check_journal(self._report, kept, self._evidence)
        expected = self._expected.pop(kept.id, None)
        if expected is None:
            return  # a child, or a schedule's run: its parent's result, or the count of runs, tells
        if not kept.journal:
            self._expected[kept.id] = expected
            return
        found = FAILED if kept.state == "failed" else f"{kept.state} {kept.result}"
        if found != expected:
            self._wrong.append(f"{kept.id}: {found[:80]}, not {expected}")
        elif kept.state == "completed":
            self._report.completed += 1

    def finish(self) -> None:
        """Say what is missing."""
        report, missing = self._report, sorted(self._expected)
        report.lost, report.wrong = len(missing), len(self._wrong)
        few = missing[:_FEW]
        report.expect(not missing, f"{len(missing)} accepted workflows are not in the history as ended: {few}")
        report.expect(not self._wrong, f"{len(self._wrong)} workflows ended otherwise: {self._wrong[:_FEW]}")


def _check_journal(report: Report, kept: Kept, evidence: Evidence) -> None:
    """Whole, nothing twice, equal to the row; what it holds goes into the evidence."""
    name, epoch = kept.id, 1
    numbers = [item.seq for item in kept.journal]
    report.expect(numbers == list(range(1, len(numbers) + 1)), f"{name}: the journal has gaps")
    seen: Counter[tuple[Any, ...]] = Counter()
    opened: set[str] = set()
    for item in kept.journal:
        match item.entry:
            case j.Attempt(step, generation, number):
                seen["attempt", step, generation, number] += 1
            case j.Settled(step, generation):
                seen["settled", step, generation] += 1
                evidence.add("settled", f"{name}:{step}:{generation}", item.entry.agent, item.at_ms)
            case j.Erred(step, generation, number):
                evidence.add("closed", f"{name}:{step}:{generation}", number, "failed", item.at_ms)
            case j.TimedOut(step, generation, number):
                evidence.add("closed", f"{name}:{step}:{generation}", number, "timed out", item.at_ms)
            case j.TimerSet(step) | j.TimerFired(step) | j.Recorded(step) | j.ChildStarted(step) | j.ChildEnded(step):
                seen[type(item.entry).__name__, step] += 1
            case j.Signalled():
                seen["signal", item.entry.signal_id] += 1
                evidence.add("accepted_input", "signal", name, item.entry.signal_id)
            case j.Escalated(_, identity):
                seen["escalated", identity] += 1
                opened.add(identity)
                evidence.add("asked", identity)
            case j.Decided(_, identity):
                seen["decided", identity] += 1
                opened.discard(identity)
                evidence.add("accepted_input", "decision", identity, item.entry.decision_id)
            case j.Finished():
                seen["finished",] += 1
            case j.TakenUp(raised):
                report.expect(raised > epoch, f"{name}: epoch {raised} after {epoch}")
                epoch = raised
                evidence.add("raised", name, item.seq, raised, item.at_ms)
    twice = [what for what, times in seen.items() if times > 1]
    report.expect(not twice, f"{name}: written twice: {twice[:_FEW]}")
    last = kept.journal[-1]
    state = last.entry.state if isinstance(last.entry, j.Finished) else "not ended"
    shown, true = (kept.state, kept.seq, kept.epoch), (state, last.seq, epoch)
    report.expect(shown == true, f"{name}: the history shows {shown}, the journal {true}")


def _check_epochs(report: Report, evidence: Evidence, scene: Scene) -> None:
    """No write under an epoch stands behind the beginning of a higher one."""
    written, let = (evidence.count(f"SELECT count(*) FROM {table}") for table in ("written", "let"))
    report.fenced_writes = written + let
    report.stale_epoch_refused = evidence.refused + int(sum(f.figures.get("stale_refused", 0) for f in scene.fired))
    stale = list(
        evidence.ask(
            "SELECT DISTINCT w.workflow, w.seq, w.epoch FROM written w JOIN raised r ON r.workflow = w.workflow"
            " WHERE r.seq < w.seq AND r.epoch > w.epoch"
            " UNION SELECT l.workflow, 0, l.epoch FROM let l JOIN raised r ON r.workflow = l.workflow"
            " WHERE r.at_ms + ? < l.at_ms AND r.epoch > l.epoch",
            _CLOCK_MS,
        )
    )
    tried, refused = report.stale_epoch_tried, report.stale_epoch_refused - evidence.refused
    report.stale_epoch_writes = len(stale) + tried - refused
    report.expect(not stale, f"{len(stale)} writes under an epoch that had ended: {stale[:_FEW]}")


def _check_acknowledgements(report: Report, evidence: Evidence) -> None:
    """Each acknowledged signal and decision stands in its workflow's journal."""
    for kind, field in (("signal", "signals"), ("decision", "decisions")):
        setattr(report, field, evidence.count("SELECT count(*) FROM acknowledged WHERE kind = ?", kind))
    lost = list(
        evidence.ask(
            "SELECT kind, id, what FROM acknowledged a WHERE kind <> 'accepted' AND NOT EXISTS (SELECT 1 FROM"
            " accepted_input i WHERE i.kind = a.kind AND i.id = a.id AND i.what = a.what)"
        )
    )
    report.acknowledgements_lost = len(lost)
    report.expect(not lost, f"{len(lost)} acknowledged signals and decisions are in no journal: {lost[:_FEW]}")


def _check_escalations(report: Report, crew: Crew, evidence: Evidence, scene: Scene) -> None:
    """Opened once, closed once, the same in the journals and in the history."""
    rows = history.ask(crew.history_path, "SELECT id, state, reason, workflow_id FROM dashboard_escalation")
    states = Counter(row[1] for row in rows)
    report.escalations_opened = len(rows)
    report.escalations_resolved, report.escalations_withdrawn = states["resolved"], states["withdrawn"]
    report.expect(not states["open"], f"{states['open']} escalations are open")
    names = {row[0] for row in rows}
    asked = {row[0] for row in evidence.ask("SELECT id FROM asked")}
    report.expect(names == asked, f"escalations of history and journals differ: {sorted(names ^ asked)[:_FEW]}")
    decided = evidence.count("SELECT count(DISTINCT id) FROM accepted_input WHERE kind = 'decision'")
    found = report.escalations_resolved
    report.expect(found == decided, f"{found} escalations are resolved, {decided} are decided in journals")
    wanted = {str(Reason.COORDINATOR_CRASHED), str(Reason.WORKFLOW_CODE_CHANGED)}
    bad = {row[3] for row in rows if row[2] in wanted}
    unasked = sorted(set(scene.bad) - bad)
    report.expect(not unasked, f"people were not asked about {unasked[:_FEW]}")
    report.asked_about_innocents = len(bad - set(scene.bad))


def _check_takeovers(report: Report, crew: Crew, scene: Scene) -> None:
    """Hosts that were declared dead although nothing had been done to them; none while the server stood still."""
    rows = history.ask(
        crew.history_path,
        "SELECT host, (julianday(at) - 2440587.5) * 86400000 FROM dashboard_hostevent WHERE kind = 'lost'",
    )
    hit = {fault.host for fault in scene.fired if fault.host}
    harmed = [(f.at_ms, f.until_ms + SUSPECTED_MS) for f in scene.fired if f.name in faults_code.KINDS]
    harmed += cut_off(scene)
    wrong = [
        (host, at_ms)
        for host, at_ms in rows
        if host not in hit and not any(begin <= at_ms <= end for begin, end in harmed)
    ]
    report.wrong_takeovers = len({host for host, _ in wrong})
    for fault in scene.fired:
        if fault.name == "server_stop":
            by_it = {host for host, at in wrong if fault.at_ms <= at <= fault.until_ms + SUSPECTED_MS}
            report.expect(not by_it, f"the server stood still, and living hosts were declared dead: {sorted(by_it)}")
    back = history.ask(
        crew.history_path,
        "SELECT host, (julianday(at) - 2440587.5) * 86400000 FROM dashboard_hostevent WHERE kind = 'started'",
    )
    _measure_restarts(report, scene, back)


def _measure_restarts(report: Report, scene: Scene, started: list[Any]) -> None:
    """From a host's SIGKILL to the next life of its process."""
    took = []
    for fault in scene.fired:
        if fault.name != "host_kill":
            continue
        later = [at - fault.at_ms for host, at in started if host.rpartition("-")[0] == fault.target]
        if after := [value for value in later if value > 0]:
            took.append(min(after) / 1000)
    report.host_back = Spread.of(took)
