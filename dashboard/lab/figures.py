"""What an experiment showed, read from the journals of its workflows: times in ms since the kill, by one clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from coordination import journal as j
from dashboard.lab.ledger import Ledger, Step

Journals = Mapping[str, Sequence[j.Numbered]]
_OURS = (j.Attempt, j.Finished)  # entries that only a coordinator writes which goes on


class Row(TypedDict):
    """One thing that the kill interrupted, in ms since the kill; None: not yet, or never."""

    id: str
    taken: float | None  # another host took it up
    next: float | None  # its next step began, or it ended
    lost: bool


class Spread(TypedDict):
    """How long it took in the middle and at most."""

    p50: float
    max: float


def hosts(journals: Journals, victim: str, held: Iterable[str], killed_ms: float) -> list[Row]:
    """The workflows that a killed host held: when each was taken up, and when its next step began."""
    return [_taken_over(name, journals[name], victim, killed_ms) for name in held]


def _taken_over(name: str, entries: Sequence[j.Numbered], victim: str, killed_ms: float) -> Row:
    at = next((item for item in entries if isinstance(item.entry, j.TakenUp) and item.entry.previous == victim), None)
    if at is None:
        return {"id": name, "taken": None, "next": None, "lost": not _ended(entries)}
    after = next((item.at_ms for item in entries if item.seq > at.seq and isinstance(item.entry, _OURS)), None)
    return {
        "id": name, "taken": at.at_ms - killed_ms, "next": None if after is None else after - killed_ms, "lost": False,
    }  # fmt: skip


def tasks(journals: Journals, running: Iterable[Step], killed_ms: float) -> list[Row]:
    """The tasks that a killed agent was at: when each was settled by another."""
    rows: list[Row] = []
    for name, step in sorted(running):
        settled = (
            item.at_ms - killed_ms
            for item in journals[name]
            if isinstance(item.entry, j.Settled) and item.entry.step == step
        )
        rows.append({"id": f"{name} step {step}", "taken": None, "next": next(settled, None), "lost": False})
    return rows


def moved(journals: Journals, living: Iterable[str], killed_ms: float) -> list[Row]:
    """The workflows that were under way when the server was killed: when the first thing after it happened to each."""
    rows: list[Row] = []
    for name in living:
        after = (item.at_ms - killed_ms for item in journals[name] if item.at_ms > killed_ms)
        rows.append({"id": name, "taken": None, "next": next(after, None), "lost": False})
    return rows


def completed(journals: Journals) -> int:
    """Workflows that have come to their good end."""
    return sum(_ended(entries) for entries in journals.values())


def _ended(entries: Sequence[j.Numbered]) -> bool:
    return bool(entries) and isinstance(last := entries[-1].entry, j.Finished) and last.state == "completed"


def spread(values: Iterable[float | None]) -> Spread | None:
    """Median and maximum of those that there are."""
    known = sorted(value for value in values if value is not None)
    return {"p50": known[(len(known) - 1) // 2], "max": known[-1]} if known else None


def summed(rows: list[Row], journals: Journals, ledger: Ledger) -> dict[str, Any]:
    """The figures that every experiment on this system ends with."""
    done = completed(journals)
    return {
        "rows": rows,
        "interrupted": len(rows),
        "count": len(journals),
        "completed": done,
        "lost": len(journals) - done,
        "steps": sum(ledger.ended.values()),
        "again": len(ledger.repeated),
        "taken": spread(row["taken"] for row in rows),
        "next": spread(row["next"] for row in rows),
    }
