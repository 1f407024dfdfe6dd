"""What must hold after a run, read from the history, the ledger and what is left in Redis."""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec

from coordination import journal as j
from coordination.connection import Connection
from coordination.domain import FINAL_STATES
from coordination.keys import AGENTS_GROUP, COORDINATORS_GROUP, RELAY_GROUP
from tests.chaos import ledger
from tests.chaos.crew import Crew
from tests.chaos.drive import Driver
from tests.chaos.faults import Fault

_CLOCK_MS = 50  # between the server's clock and an agent's
_DEAD_MS = 10_000  # how long after an agent's end its tasks may still be started again


class Report(msgspec.Struct):
    """What a run found; ``broken`` is empty when every invariant held."""

    seed: int
    minutes: float
    accepted: int = 0
    completed: int = 0
    lost: int = 0
    wrong: int = 0
    doubled_effects: int = 0
    repeat_runs: int = 0
    deliveries: int = 0
    stale_epoch_writes: int = 0
    escalations_opened: int = 0
    escalations_resolved: int = 0
    resubmitted: int = 0
    faults: dict[str, int] = {}
    takeovers: int = 0
    takeover_p50_s: float = 0.0
    takeover_p99_s: float = 0.0
    takeover_max_s: float = 0.0
    next_step_p99_s: float = 0.0
    next_step_max_s: float = 0.0
    broken: list[str] = []


def _sql(folder: Path, query: str) -> list[Any]:
    with sqlite3.connect(folder / "home" / "ganglion.sqlite3") as database:
        return database.execute(query).fetchall()


def unfinished(folder: Path, accepted: set[str]) -> list[str]:
    """Accepted workflows that the history does not show as ended."""
    final = tuple(str(state) for state in FINAL_STATES)
    rows = _sql(folder, f"SELECT id FROM dashboard_workflow WHERE state IN {final}")
    return sorted(accepted - {row[0] for row in rows})


def check(report: Report, crew: Crew, driver: Driver, fired: list[Fault]) -> None:
    """Fill the report from the history and the ledger."""
    folder = crew.folder
    report.accepted = len(driver.accepted)
    report.completed = sum(1 for found in driver.results.values() if isinstance(found, int))
    report.resubmitted = driver.resubmitted
    report.faults = dict(Counter(fault.name for fault in fired))
    missing = unfinished(folder, set(driver.accepted))
    report.lost = len(missing)
    _expect(report, not missing, f"{len(missing)} accepted workflows are not in the history as ended: {missing[:3]}")
    wrong = [
        f"{identity}: {driver.results.get(identity)!r}, not {expected}"
        for identity, expected in driver.accepted.items()
        if driver.results.get(identity) != expected
    ]
    report.wrong = len(wrong)
    _expect(report, not wrong, f"{len(wrong)} workflows gave the wrong result: {wrong[:3]}")
    archive = (
        "SELECT workflow_id, journal, seq FROM dashboard_workflowarchive JOIN dashboard_workflow ON id = workflow_id"
    )
    journals = {identity: (j.decode_archive(raw), seq) for identity, raw, seq in _sql(folder, archive) if raw}
    for identity, (entries, seq) in journals.items():
        _check_journal(report, identity, entries, seq)
    _check_escalations(report, folder, driver)
    _check_ledger(report, crew, journals)
    _measure(report, journals, fired)


def _expect(report: Report, held: bool, message: str) -> None:
    if not held:
        report.broken.append(message)


def _check_journal(report: Report, identity: str, entries: list[j.Numbered], seq: int) -> None:
    numbers = [item.seq for item in entries]
    _expect(report, numbers == list(range(1, len(numbers) + 1)), f"{identity}: the journal has gaps")
    _expect(report, bool(numbers) and numbers[-1] == seq, f"{identity}: the history stands at {seq}, not at its end")
    seen: Counter[tuple[Any, ...]] = Counter()
    epoch = 1
    for item in entries:
        match item.entry:
            case j.Attempt(step, generation, number):
                seen["attempt", step, generation, number] += 1
            case j.Settled(step, generation):
                seen["settled", step, generation] += 1
            case j.TimerSet(step) | j.TimerFired(step) | j.Recorded(step) | j.ChildStarted(step) | j.ChildEnded(step):
                seen[type(item.entry).__name__, step] += 1
            case j.Finished():
                seen["finished",] += 1
            case j.TakenUp(raised):
                _expect(report, raised > epoch, f"{identity}: epoch {raised} after {epoch}")
                epoch = raised
    stale = [what for what, times in seen.items() if times > 1]
    report.stale_epoch_writes += len(stale)
    _expect(report, not stale, f"{identity}: written twice: {stale[:3]}")


def _check_escalations(report: Report, folder: Path, driver: Driver) -> None:
    rows = _sql(folder, "SELECT id, state FROM dashboard_escalation")
    report.escalations_opened = len(rows)
    report.escalations_resolved = sum(1 for _, state in rows if state == "resolved")
    still_open = [identity for identity, state in rows if state == "open"]
    _expect(report, not still_open, f"{len(still_open)} escalations are open: {still_open[:3]}")
    _expect(
        report,
        report.escalations_resolved >= len(driver.decisions),
        f"{len(driver.decisions)} decisions were accepted, {report.escalations_resolved} escalations are resolved",
    )


def _check_ledger(report: Report, crew: Crew, journals: dict[str, tuple[list[j.Numbered], int]]) -> None:
    """No handler may start for a task that is settled, or that a live instance holds."""
    ends: dict[int, list[float]] = defaultdict(list)
    for member in crew.agents:
        for pid, at in member.ends:
            ends[pid].append(at * 1000)
    settled = {
        f"{identity}:{item.entry.step}:{item.entry.generation}": item.at_ms
        for identity, (entries, _) in journals.items()
        for item in entries
        if isinstance(item.entry, j.Settled)
    }

    def excused(began: int, again: int, *pids: int) -> bool:
        """Whether one of the agents was killed or frozen about then, so that its tasks were given to another."""
        return any(began - _DEAD_MS <= end <= again for pid in pids for end in ends[pid])

    starts: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for event, key, attempt, pid, at_ms in ledger.read(crew.folder / "ledger.log"):
        if event == "start":
            starts[key, attempt].append((at_ms, pid))
    for (key, attempt), runs in starts.items():
        report.deliveries += len(runs)
        runs.sort()
        for (began, first), (again, second) in itertools.pairwise(runs):
            if excused(began, again, first, second):
                report.repeat_runs += 1
            else:
                report.doubled_effects += 1
                what = f"{key} attempt {attempt}: started again by pid {second} after {again - began} ms"
                _expect(report, False, f"{what} while pid {first} lived")
        for at_ms, pid in runs:
            late_ms = at_ms - settled.get(key, at_ms)
            if late_ms > _CLOCK_MS and not excused(at_ms, at_ms, pid):
                report.doubled_effects += 1
                _expect(report, False, f"{key}: started by pid {pid} {late_ms} ms after it was settled")


def _measure(report: Report, journals: dict[str, tuple[list[j.Numbered], int]], fired: list[Fault]) -> None:
    """From a host's SIGKILL to its workflows' new owners, and to the next thing that happened in each."""
    killed = {fault.host: fault.at_ms for fault in fired if fault.name == "host_sigkill" and fault.host}
    took, next_step = [], []
    for entries, _ in journals.values():
        for index, item in enumerate(entries):
            entry = item.entry
            if not isinstance(entry, j.TakenUp) or entry.previous not in killed:
                continue
            took.append((item.at_ms - killed[entry.previous]) / 1000)
            if index + 1 < len(entries) and _was_ready(entries[:index]):
                next_step.append((entries[index + 1].at_ms - killed[entry.previous]) / 1000)
    report.takeovers = len(took)
    for values, p99, worst in (
        (took, "takeover_p99_s", "takeover_max_s"),
        (next_step, "next_step_p99_s", "next_step_max_s"),
    ):
        values.sort()
        if values:
            setattr(report, p99, round(values[int(len(values) * 0.99)], 3))
            setattr(report, worst, round(values[-1], 3))
    if took:
        report.takeover_p50_s = round(took[len(took) // 2], 3)


def _was_ready(before: list[j.Numbered]) -> bool:
    """Whether a workflow had work for an agent when its host died, rather than waiting for time or people."""
    tasks: set[str] = set()
    for item in before:
        match item.entry:
            case j.Attempt(step):
                tasks.add(step)
            case j.Settled(step) | j.Erred(step) | j.Escalated(step):
                tasks.discard(step)
    return bool(tasks)


async def check_server(report: Report, connection: Connection) -> None:
    """Nothing pending, nothing queued, no key left that does not expire."""
    keys = connection.keys
    for shard in range(keys.shards):
        for stream, group in (
            (keys.workflows(shard), COORDINATORS_GROUP),
            (keys.resumes(shard), COORDINATORS_GROUP),
            (keys.events(shard), RELAY_GROUP),
        ):
            pending = (await connection.call("XPENDING", stream, group))[0]
            length = await connection.call("XLEN", stream)
            _expect(report, not pending and not length, f"{stream}: {pending} pending, {length} entries left")
        for index in (keys.deadlines(shard), keys.escalation_queue(shard)):
            kind = "ZCARD" if index == keys.deadlines(shard) else "XLEN"
            left = await connection.call(kind, index)
            _expect(report, not left, f"{index}: {left} left")
    queue = keys.agent_queue("chaos_work")
    pending = (await connection.call("XPENDING", queue, AGENTS_GROUP))[0]
    length = await connection.call("XLEN", queue)
    _expect(report, not pending and not length, f"{queue}: {pending} pending, {length} entries left")
    await _check_keys(report, connection)


async def _check_keys(report: Report, connection: Connection) -> None:
    cursor, leaked = b"0", []
    while True:
        cursor, found = await connection.call("SCAN", cursor, "COUNT", 1000)
        leaked += [
            key for key in found if key.startswith((b"workflow:", b"escalation:", b"coordinator_result:"))
            and await connection.call("TTL", key) == -1
        ]  # fmt: skip
        if cursor == b"0":
            break
    _expect(report, not leaked, f"{len(leaked)} keys never expire: {leaked[:3]}")
