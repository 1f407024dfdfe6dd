"""The ledger and the acknowledgements as tables of a database in a file, so that any number of them can be compared.

| table | a row is |
|---|---|
| started | a start of a handler: key, attempt, pid, ms |
| effect | an effect: key, attempt, pid, ms |
| written | a fenced write that was accepted: workflow, seq, epoch |
| let | a fenced write without an entry of its own that was accepted: workflow, epoch, ms when it was asked for |
| acknowledged | an acknowledgement: kind, id, what |
| settled | a step that an agent settled, from the journals: key, agent, ms |
| closed | an attempt that ended without a result, from the journals: key, attempt, how, ms |
| raised | an epoch that began, from the journals: workflow, seq, epoch, ms |
| accepted_input | a signal or decision, from the journals: kind, id, what |
| asked | an escalation that was opened, from the journals: id |
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos import ledger
from tests.chaos.record import Record

_BATCH = 20_000
_TABLES = {
    "started": "key, attempt, pid, at_ms",
    "effect": "key, attempt, pid, at_ms",
    "written": "workflow, seq, epoch",
    "let": "workflow, epoch, at_ms",
    "acknowledged": "kind, id, what",
    "settled": "key, agent, at_ms",
    "closed": "key, attempt, how, at_ms",
    "raised": "workflow, seq, epoch, at_ms",
    "accepted_input": "kind, id, what",
    "asked": "id",
}


class Noted(NamedTuple):
    """One start or effect of a key."""

    at_ms: int
    attempt: int
    pid: int


class Closed(NamedTuple):
    """The end of one attempt of a key without a result: ``failed`` or ``timed out``."""

    at_ms: int
    attempt: int
    how: str


class Evidence:
    """Everything that was noted, to be asked in SQL.

    Attributes:
        refused: Fenced writes that the server refused because another epoch writes.
        ran: What harmful workflow code noted about itself.
    """

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("PRAGMA synchronous=OFF")
        for name, columns in _TABLES.items():
            self._database.execute(f"CREATE TABLE {name} ({columns})")
        self._waiting: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _TABLES}
        self.refused = 0
        self.ran: set[str] = set()

    def add(self, table: str, *row: Any) -> None:
        """Add a row; it can be asked for after ``flush``."""
        rows = self._waiting[table]
        rows.append(row)
        if len(rows) >= _BATCH:
            self._insert(table, rows)

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self._database.execute("BEGIN")
            self._database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            self._database.execute("COMMIT")
            rows.clear()

    def flush(self) -> None:
        """Make all that was added askable."""
        for table, rows in self._waiting.items():
            self._insert(table, rows)

    def ask(self, query: str, *arguments: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of a query."""
        return iter(self._database.execute(query, arguments))

    def count(self, query: str, *arguments: Any) -> int:
        """The one number that a query gives."""
        return int(next(self.ask(query, *arguments))[0] or 0)

    def load(self, notes: Iterable[ledger.Row], record: Record) -> None:
        """Take in the ledger and the acknowledgements."""
        for event, key, number, pid, at_ms in notes:
            match event:
                case "start":
                    self.add("started", key, number, pid, at_ms)
                case "effect":
                    self.add("effect", key, number, pid, at_ms)
                case "write":
                    workflow, _, seq = key.rpartition("@")
                    self.add("written", workflow, int(seq), number)
                case "let":
                    self.add("let", key.rpartition("@")[0], number, at_ms)
                case "refused":
                    self.refused += 1
                case "ran":
                    self.ran.add(key)
        for line in record.read():
            self.add("acknowledged", *line)
        self.flush()

    def index(self) -> None:
        """Make the questions about single keys fast, once everything is in."""
        self.flush()
        for table, column in (
            ("started", "key, attempt, at_ms"), ("effect", "key"), ("settled", "key"), ("closed", "key"),
            ("raised", "workflow"),
            ("acknowledged", "kind, id"), ("accepted_input", "kind, id, what"), ("asked", "id"),
        ):  # fmt: skip
            self._database.execute(f"CREATE INDEX {table}_by_key ON {table} ({column})")

    def several(self, table: str) -> Iterator[tuple[str, list[Noted], list[Closed]]]:
        """Keys with more than one row in ``started`` or ``effect``: those in order, and the ends of their attempts."""
        rows = self.ask(
            f"SELECT key, at_ms, attempt, pid FROM {table} WHERE key IN"
            f" (SELECT key FROM {table} GROUP BY key HAVING count(*) > 1) ORDER BY key, at_ms, attempt"
        )
        for key, group in itertools.groupby(rows, lambda row: row[0]):
            ends = self.ask("SELECT at_ms, attempt, how FROM closed WHERE key = ?", key)
            yield key, [Noted(*row[1:]) for row in group], [Closed(*row) for row in ends]

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
