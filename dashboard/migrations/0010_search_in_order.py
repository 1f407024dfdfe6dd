"""On SQLite a search finds its newest matches by what it keeps itself, and reads the rows of one page alone.

The words are indexed anew with the time of submission beside them, which takes about half a minute for a million
workflows.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

TEXT = "dashboard_workflow_text"
TRIGGER = f"""CREATE TRIGGER {TEXT}_insert AFTER INSERT ON dashboard_workflow BEGIN
    INSERT INTO {TEXT}(%(columns)s) VALUES (%(values)s);
END"""


def _anew(schema_editor: Any, table: str, columns: tuple[str, ...]) -> None:
    if schema_editor.connection.vendor != "sqlite":
        return
    names = ", ".join(columns)
    schema_editor.execute(f"DROP TRIGGER {TEXT}_insert")
    schema_editor.execute(f"DROP TABLE {TEXT}")
    schema_editor.execute(f"CREATE VIRTUAL TABLE {TEXT} USING fts5({table}, tokenize='unicode61')")
    schema_editor.execute(f"INSERT INTO {TEXT}({names}) SELECT {names} FROM dashboard_workflow ORDER BY created_at")
    schema_editor.execute(TRIGGER % {"columns": names, "values": ", ".join(f"new.{name}" for name in columns)})


def forward(apps: Any, schema_editor: Any) -> None:
    """Keep the time of submission beside the words."""
    _anew(schema_editor, "id, summary, created_at UNINDEXED", ("id", "summary", "created_at"))


def backward(apps: Any, schema_editor: Any) -> None:
    """Keep the words alone."""
    _anew(schema_editor, "id, summary", ("id", "summary"))


class Migration(migrations.Migration):
    """Search by what the index of words keeps itself."""

    dependencies = [("dashboard", "0009_type_with_version")]
    operations = [migrations.RunPython(forward, backward)]
