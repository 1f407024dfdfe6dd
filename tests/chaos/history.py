"""Reads the history as the console has it, one workflow after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from coordination import journal as j
from coordination.domain import FINAL_STATES

_FINAL = tuple(str(state) for state in FINAL_STATES)


class Kept(msgspec.Struct):
    """One workflow of the history."""

    id: str
    type: str
    state: str
    seq: int
    epoch: int
    open_escalations: int
    duration_ms: int
    result: str  # JSON
    journal: list[j.Numbered]


def ask(path: Path, query: str) -> list[Any]:
    """Rows of a query."""
    with sqlite3.connect(path, timeout=20) as database:
        return database.execute(query).fetchall()


def living(path: Path) -> int:
    """How many workflows the history does not show as ended, with their whole journal."""
    query = (
        "SELECT count(*) FROM dashboard_workflow w LEFT JOIN dashboard_workflowarchive a ON a.workflow_id = w.id"
        f" WHERE w.state NOT IN {_FINAL} OR a.journal IS NULL"
    )
    return int(ask(path, query)[0][0])


def ended(path: Path) -> int:
    """How many workflows the history shows as ended."""
    return int(ask(path, f"SELECT count(*) FROM dashboard_workflow WHERE state IN {_FINAL}")[0][0])


def is_compared(path: Path) -> bool:
    """Whether the relay has compared the history with Redis, as it does at its first start."""
    return bool(ask(path, "SELECT 1 FROM dashboard_relaymark"))


def everything(path: Path) -> Iterator[Kept]:
    """Every workflow with its journal."""
    with sqlite3.connect(path, timeout=20) as database:
        rows = database.execute(
            "SELECT w.id, w.type, w.state, w.seq, w.epoch, w.open_escalations, w.duration_ms, a.result, a.journal"
            " FROM dashboard_workflow w LEFT JOIN dashboard_workflowarchive a ON a.workflow_id = w.id"
        )
        for name, kind, state, seq, epoch, open_escalations, duration_ms, result, journal in rows:
            entries = j.decode_archive(journal) if journal else []
            yield Kept(name, kind, state, seq, epoch, open_escalations, duration_ms or 0, result or "", entries)
