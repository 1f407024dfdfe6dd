"""``python -m bench.history.fill ROWS``: fill the history that ``DATABASE_URL`` names, in bulk.

Indexes and triggers are put aside while rows come in and made again afterwards, as one restores a backup; what
stands there at the end is what the relay would have written.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import django

WORKFLOWS, ARCHIVES, ESCALATIONS = "dashboard_workflow", "dashboard_workflowarchive", "dashboard_escalation"
TABLES = (WORKFLOWS, ARCHIVES, ESCALATIONS)
DOCUMENTS = {"labels", "detail"}
_BATCH = 5_000


def main() -> None:
    """Fill an empty, migrated history."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.db import connection

    count, began = int(sys.argv[1]), time.monotonic()
    fill = _sqlite if connection.vendor == "sqlite" else _postgresql
    fill(connection, count, dt.datetime.now(dt.UTC).replace(microsecond=0))
    print(f"{count:,} workflows in {time.monotonic() - began:.0f} s", flush=True)


def _batches(count: int, now: dt.datetime) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    from bench.history import rows

    made = rows.workflows(count, now)
    while part := list(itertools.islice(made, _BATCH)):
        yield WORKFLOWS, part
        yield ARCHIVES, list(rows.archives(iter(part)))
    opened = rows.escalations(count, now)
    while part := list(itertools.islice(opened, _BATCH)):
        yield ESCALATIONS, part


def _sqlite(connection: Any, count: int, now: dt.datetime) -> None:
    texts: dict[str, str] = {}

    def adapt(name: str, value: Any) -> Any:
        if isinstance(value, dt.datetime):
            return value.replace(tzinfo=None).isoformat(" ")
        if name in DOCUMENTS:
            key = repr(value)
            return texts.get(key) or texts.setdefault(key, json.dumps(value, separators=(",", ":")))
        return value

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name IN (%s, %s, %s)"
            " AND (type = 'index' OR name = 'dashboard_workflow_text_insert')",
            TABLES,
        )
        aside = cursor.fetchall()
        for kind, name, _ in aside:
            cursor.execute(f"DROP {kind} {name}")
        raw = connection.connection
        for table, part in _batches(count, now):
            names, values = _values(part, adapt)
            marks = ", ".join("?" * len(names))
            raw.execute("BEGIN")
            raw.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", values)
            raw.execute("COMMIT")
        cursor.execute(
            "INSERT INTO dashboard_workflow_text(id, summary, created_at)"
            f" SELECT id, summary, created_at FROM {WORKFLOWS} ORDER BY created_at"
        )
        for _, _, sql in aside:
            cursor.execute(sql)
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _postgresql(connection: Any, count: int, now: dt.datetime) -> None:
    def adapt(name: str, value: Any) -> Any:
        return json.dumps(value, separators=(",", ":")) if name in DOCUMENTS else value

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s)"
            " AND indexname NOT IN (SELECT conname FROM pg_constraint)",
            [list(TABLES)],
        )
        aside = cursor.fetchall()
        for name, _ in aside:
            cursor.execute(f"DROP INDEX {name}")
        for table, part in _batches(count, now):
            names, values = _values(part, adapt)
            with cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as copy:
                for row in values:
                    copy.write_row(row)
        for _, definition in aside:
            cursor.execute(definition)
        cursor.execute("VACUUM ANALYZE")  # as autovacuum does by itself


def _values(part: list[dict[str, Any]], adapt: Callable[[str, Any], Any]) -> tuple[list[str], Iterator[list[Any]]]:
    names = list(dict.fromkeys(name for row in part for name in row))
    return names, ([adapt(name, row.get(name)) for name in names] for row in part)


if __name__ == "__main__":
    main()
