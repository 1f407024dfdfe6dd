"""The audit log: append-only in the ORM and in the database, and a broken chain is found."""

from __future__ import annotations

import importlib
import threading

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client

from dashboard import accounts, audit, queries
from dashboard.models import AppendOnly, AuditEntry
from dashboard.queries import AuditFilter

MIGRATION = importlib.import_module("dashboard.migrations.0002_search_and_audit_guard")


@pytest.mark.django_db
def test_entries_form_a_chain() -> None:
    ann = User.objects.create(username="ann")
    for number in range(3):
        audit.record(
            ann, "thing.do", ("thing", str(number)), before={"n": number}, after={"x": 1.5, "big": 1e300, "t": "a\x00b"}
        )
    verdict = audit.verify()
    assert (verdict.intact, verdict.entries) == (True, 3)
    call_command("verify_audit")


@pytest.mark.django_db
def test_secrets_are_not_written_down() -> None:
    entry = audit.record("ann", "thing.do", ("thing", "1"), after={"payload": {"password": "hunter2"}})
    entry.refresh_from_db()
    assert entry.after == {"payload": {"password": "[redacted]"}}


@pytest.mark.django_db
def test_the_orm_changes_and_deletes_nothing() -> None:
    entry = audit.record("ann", "thing.do", ("thing", "1"))
    entry.actor = "bob"
    with pytest.raises(AppendOnly):
        entry.save()
    with pytest.raises(AppendOnly):
        entry.delete()
    with pytest.raises(AppendOnly):
        AuditEntry.objects.all().delete()
    with pytest.raises(AppendOnly):
        AuditEntry.objects.update(actor="bob")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement", ["UPDATE dashboard_auditentry SET actor = 'bob'", "DELETE FROM dashboard_auditentry"]
)
def test_the_database_refuses_too(statement: str) -> None:
    audit.record("ann", "thing.do", ("thing", "1"))
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # tests take it away, so that they can empty their tables
            cursor.execute(next(sql for sql in MIGRATION.SQLITE if "dashboard_audit_no_delete" in sql))
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(statement)


@pytest.mark.django_db
def test_going_round_every_guard_breaks_the_chain() -> None:
    for number in range(3):
        audit.record("ann", "thing.do", ("thing", str(number)))
    second = AuditEntry.objects.order_by("pk")[1]
    with connection.cursor() as cursor:
        guard = (
            "dashboard_audit_no_update"
            if connection.vendor == "sqlite"
            else "dashboard_audit_guard ON dashboard_auditentry"
        )
        cursor.execute(f"DROP TRIGGER {guard}")
        cursor.execute("UPDATE dashboard_auditentry SET actor = 'bob' WHERE id = %s", [second.pk])
    verdict = audit.verify()
    assert verdict.broken_at == second.pk
    with pytest.raises(CommandError, match=f"entry {second.pk}: it was changed"):
        call_command("verify_audit")


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_make_one_chain() -> None:
    def write(name: str) -> None:
        try:
            for number in range(10):
                audit.record(name, "thing.do", ("thing", str(number)))
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(f"writer-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = audit.verify()
    assert (verdict.intact, verdict.entries) == (True, 40)


@pytest.mark.django_db
def test_pages_of_the_log() -> None:
    for number in range(7):
        audit.record("ann" if number % 2 else "bob", "a.do" if number < 5 else "b.do", ("thing", str(number)))
    first = queries.audit(AuditFilter(), limit=5)
    assert [row.object_id for row in first.rows] == ["6", "5", "4", "3", "2"]
    second = queries.audit(AuditFilter(), cursor=first.next, limit=5)
    assert ([row.object_id for row in second.rows], second.next) == (["1", "0"], "")
    assert len(queries.audit(AuditFilter(actor="ann")).rows) == 3
    assert len(queries.audit(AuditFilter(action="b.")).rows) == 2


@pytest.mark.django_db(transaction=True)
def test_the_log_is_exported_by_filter_and_verified_from_the_page(client: Client) -> None:
    admin = accounts.ensure_admin()
    for name in ("ann", "bob", "ann"):
        audit.record(name, "thing.do", ("thing", "1"), after={"by": name})
    client.force_login(admin)
    assert "attachment" in client.post("/audit/export/", {"actor": "ann"})["Content-Disposition"]
    assert AuditEntry.objects.filter(action="audit.export", actor="admin").count() == 1
    assert "are as they were written" in client.post("/audit/verify/", follow=True).content.decode()
    assert Client().post("/audit/export/").status_code == 302
