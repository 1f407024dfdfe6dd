"""The inbox of causes at ten thousand escalations: fast, and with the same number of queries however many there are."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from coordination.config import Config
from dashboard import accounts, bulk, queries
from dashboard.bulk_plan import Selection
from dashboard.models import Escalation
from dashboard.queries import EscalationFilter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

CAUSES = 40
MOST_S = 2.0  # on a busy machine; measured alone it is a tenth of it


def _fill(count: int, first: int = 0) -> None:
    now = timezone.now()
    Escalation.objects.bulk_create(
        (
            Escalation(
                id=f"w{number}~1~1", workflow_id=f"w{number}", workflow_type="t", step="1", task_type="extract",
                reason="final_error", state="open", fingerprint=f"cause-{number % CAUSES}", headline="extract: broken",
                opened_at=now - dt.timedelta(minutes=number % 600), detail=_detail(number),
            )
            for number in range(first, first + count)
        ),
        batch_size=500,
    )  # fmt: skip


def _detail(number: int) -> dict[str, Any]:
    error = {"kind": "FinalError", "message": "broken", "traceback": "x" * 1500, "agent_version": "7"}
    return {
        "id": f"w{number}~1~1", "workflow_id": f"w{number}", "workflow_type": "t", "step": "1",
        "task_type": "extract", "reason": "final_error", "state": "open", "errors": [error], "input": {"n": number},
    }  # fmt: skip


def _visit(path: str) -> tuple[int, float, str]:
    browser = Client()
    browser.force_login(User.objects.get(username="admin"))
    browser.get(path)
    began = time.perf_counter()
    with CaptureQueriesContext(connection) as seen:
        answer = browser.get(path)
    assert answer.status_code == 200
    return len(seen), time.perf_counter() - began, answer.content.decode()


def test_ten_thousand_escalations_cost_as_many_queries_as_two_hundred_and_little_time(config: Config) -> None:
    accounts.ensure_admin()
    _fill(200)
    pages = ("/escalations/", "/escalations/?cause=cause-3", "/ledger/", "/bulk/")
    few = {path: _visit(path)[0] for path in pages}
    _fill(9_800, 200)
    for path in pages:
        many, took_s, _ = _visit(path)
        assert many <= few[path], path
        assert took_s < MOST_S, path
    groups = queries.escalation_groups(EscalationFilter(), trend=True)
    assert [(group.count, sum(group.trend)) for group in groups] == [(250, 250)] * CAUSES
    assert groups[0].agent_version == "7"
    admin = User.objects.get(username="admin")
    with CaptureQueriesContext(connection) as seen:
        plan = bulk.plan(Selection("escalations", "state=open"), "retry", None, admin)
    assert len(plan.eligible) == 10_000
    assert len(seen) <= 8


def test_a_page_beyond_the_last_is_the_last(config: Config) -> None:
    """As when a colleague has just cleared what stood there: else it would say that nobody is needed."""
    _fill(3)
    shown = queries.escalations(EscalationFilter(), page=2, limit=3)
    assert (shown.page, len(shown.rows), shown.total) == (1, 3, 3)
    assert queries.escalations(EscalationFilter(), page=9, limit=2).page == 2
    Escalation.objects.all().delete()
    assert queries.escalations(EscalationFilter(), page=2, limit=2).page == 1
