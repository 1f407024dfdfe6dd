"""The ledger and the acknowledgements as tables of a database in a file, so that any number of them can be compared.

| table | a row is |
|---|---|
| started | a start of a handler: key, attempt, pid, ms |
| effect | an effect: key, pid, ms |
| written | a fenced write that was accepted: workflow, seq, epoch |
| acknowledged | an acknowledgement: kind, id, what |
| settled | a step that an agent settled, from the journals: key, agent, ms |
| raised | an epoch that began, from the journals: workflow, seq, epoch |
| accepted_input | a signal or decision, from the journals: kind, id, what |
| asked | an escalation that was opened, from the journals: id |
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.chaos import ledger
from tests.chaos.record import Record

_BATCH = 20_000
_TABLES = {
    "started": "key, attempt, pid, at_ms",
    "effect": "key, pid, at_ms",
    "written": "workflow, seq, epoch",
    "acknowledged": "kind, id, what",
    "settled": "key, agent, at_ms",
    "raised": "workflow, seq, epoch",
    "accepted_input": "kind, id, what",
    "asked": "id",
}


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
        self.ran: list[str] = []

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
                    self.add("effect", key, pid, at_ms)
                case "write":
                    workflow, _, seq = key.rpartition("@")
                    self.add("written", workflow, int(seq), number)
                case "refused":
                    self.refused += 1
                case "ran":
                    self.ran.append(key)
        for line in record.read():
            self.add("acknowledged", *line)
        self.flush()

    def index(self) -> None:
        """Make the questions about single keys fast, once everything is in."""
        self.flush()
        for table, column in (
            ("started", "key, attempt, at_ms"), ("effect", "key"), ("settled", "key"), ("raised", "workflow"),
            ("acknowledged", "kind, id"), ("accepted_input", "kind, id, what"), ("asked", "id"),
        ):  # fmt: skip
            self._database.execute(f"CREATE INDEX {table}_by_key ON {table} ({column})")

    def runs(self) -> Iterator[tuple[str, int, list[tuple[int, int]]]]:
        """Attempts that were started more than once: key, attempt, and (ms, pid) of each start in order."""
        rows = self.ask(
            "SELECT s.key, s.attempt, s.at_ms, s.pid FROM started s JOIN"
            " (SELECT key, attempt FROM started GROUP BY key, attempt HAVING count(*) > 1) d"
            " ON d.key = s.key AND d.attempt = s.attempt ORDER BY s.key, s.attempt, s.at_ms"
        )
        for (key, attempt), group in itertools.groupby(rows, lambda row: (row[0], row[1])):
            yield key, attempt, [(row[2], row[3]) for row in group]

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
