"""Full-text search of workflows, and an audit log that the database itself keeps append-only.

SQLite: an FTS5 table beside the workflows, kept by triggers. PostgreSQL: a GIN index on the same
text. Both match whole words and their beginnings, ignoring case.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

SQLITE = [
    "CREATE VIRTUAL TABLE dashboard_workflow_text USING fts5(id, summary, tokenize='unicode61')",
    """CREATE TRIGGER dashboard_workflow_text_insert AFTER INSERT ON dashboard_workflow BEGIN
        INSERT INTO dashboard_workflow_text(id, summary) VALUES (new.id, new.summary);
    END""",
    """CREATE TRIGGER dashboard_workflow_text_delete AFTER DELETE ON dashboard_workflow BEGIN
        DELETE FROM dashboard_workflow_text WHERE rowid IN (
            SELECT rowid FROM dashboard_workflow_text
            WHERE dashboard_workflow_text MATCH 'id:"' || replace(old.id, '"', '""') || '"' AND id = old.id);
    END""",
    """CREATE TRIGGER dashboard_audit_no_update BEFORE UPDATE ON dashboard_auditentry BEGIN
        SELECT RAISE(ABORT, 'the audit log is append-only');
    END""",
    """CREATE TRIGGER dashboard_audit_no_delete BEFORE DELETE ON dashboard_auditentry BEGIN
        SELECT RAISE(ABORT, 'the audit log is append-only');
    END""",
]
SQLITE_BACK = [
    "DROP TRIGGER dashboard_audit_no_delete",
    "DROP TRIGGER dashboard_audit_no_update",
    "DROP TRIGGER dashboard_workflow_text_delete",
    "DROP TRIGGER dashboard_workflow_text_insert",
    "DROP TABLE dashboard_workflow_text",
]

POSTGRESQL = [
    """CREATE INDEX wf_text ON dashboard_workflow USING gin (
        to_tsvector('simple', regexp_replace(lower(id || ' ' || summary), '[^[:alnum:]]+', ' ', 'g')))""",
    """CREATE FUNCTION dashboard_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
    END $$""",
    """CREATE TRIGGER dashboard_audit_guard BEFORE UPDATE OR DELETE ON dashboard_auditentry
        FOR EACH ROW EXECUTE FUNCTION dashboard_audit_refuse()""",
]
POSTGRESQL_BACK = [
    "DROP TRIGGER dashboard_audit_guard ON dashboard_auditentry",
    "DROP FUNCTION dashboard_audit_refuse()",
    "DROP INDEX wf_text",
]


def forward(apps: Any, schema_editor: Any) -> None:
    """Install what the database in use needs."""
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL:
        schema_editor.execute(statement)


def backward(apps: Any, schema_editor: Any) -> None:
    """Remove it again."""
    for statement in SQLITE_BACK if schema_editor.connection.vendor == "sqlite" else POSTGRESQL_BACK:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    """Search and audit guard."""

    dependencies = [("dashboard", "0001_initial")]
    operations = [migrations.RunPython(forward, backward)]
