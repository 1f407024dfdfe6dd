"""Search and the ledger stay quick with a million workflows.

PostgreSQL keeps the words of each workflow beside it, so that looking through the newest ones need not take their
text apart again. The index of failures without an end begins with the state, because SQLite otherwise reads all
failures; and it holds what its condition asks for, so that it answers alone.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

WORDS = "to_tsvector('simple', regexp_replace(lower(id || ' ' || summary), '[^[:alnum:]]+', ' ', 'g'))"


def forward(apps: Any, schema_editor: Any) -> None:
    """Keep the words."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX wf_text")
        schema_editor.execute(
            f"ALTER TABLE dashboard_workflow ADD COLUMN words tsvector GENERATED ALWAYS AS ({WORDS}) STORED"
        )
        schema_editor.execute("CREATE INDEX wf_text ON dashboard_workflow USING gin (words)")
        schema_editor.execute("ANALYZE dashboard_workflow")  # the planner chooses by how frequent a word is


def backward(apps: Any, schema_editor: Any) -> None:
    """Keep the index alone."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE dashboard_workflow DROP COLUMN words")
        schema_editor.execute(f"CREATE INDEX wf_text ON dashboard_workflow USING gin ({WORDS})")


class Migration(migrations.Migration):
    """Words kept, and an index that answers alone."""

    dependencies = [("dashboard", "0007_takeover_workflows")]
    operations = [
        migrations.RemoveIndex("workflow", "wf_undisposed"),
        migrations.AddIndex(
            "workflow",
            models.Index(
                fields=["state", "finished_at", "id", "disposed_generation", "generation"],
                name="wf_undisposed",
                condition=models.Q(state="failed")
                & (models.Q(disposed_generation=None) | models.Q(disposed_generation__lt=models.F("generation"))),
            ),
        ),
        migrations.RunPython(forward, backward),
    ]
