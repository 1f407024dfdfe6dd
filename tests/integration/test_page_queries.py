"""Every page asks the database as often for ten times as much: no query is made for each row."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.converters import UUIDConverter
from django.utils import timezone

from coordination.config import Config
from dashboard import accounts, audit, comments, tokens
from dashboard.bulk_models import BulkAction, BulkItem, Disposition, SavedView
from dashboard.lab.models import LabRun
from dashboard.management.commands import seed_demo
from dashboard.models import Decision, Escalation, HostEvent, Workflow
from dashboard.notices.models import Channel, Incident, Level, Message, Policy
from dashboard.people.models import SignIn
from dashboard.work_models import Approval
from examples.shipments.models import Feed, Position, TrackEvent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

FEW, MANY = 9, 60  # what is shown of a few at most has as many as that
BULK = uuid.UUID(int=1)
ESCALATION = "fill0~1~1"
# the name of each page, and where it is
PAGES = {
    "overview": "/",
    "workflows": "/workflows/",
    "workflow": "/workflows/fill-parent/",
    "workflow-restart": "/workflows/fill-parent/restart/?step=1",
    "escalations": "/escalations/",
    "escalation": f"/escalations/{ESCALATION}/",
    "approvals": "/approvals/",
    "bulk": "/bulk/",
    "bulk-new": "/bulk/new/?on=escalations&all=1&f-state=open&action=retry",
    "bulk-action": f"/bulk/{BULK}/",
    "ledger": "/ledger/",
    "agents": "/agents/",
    "agent-onboard": "/agents/onboard/",
    "agent-type-test": "/agents/types/nobody_takes_this/test/",
    "coordinators": "/coordinators/",
    "runs": "/runs/",
    "performance": "/performance/",
    "notices": "/notices/",
    "lab": "/lab/",
    "audit": "/audit/",
    "settings": "/settings/",
    "profile": "/settings/profile/",
    "legal_review:start": "/runs/legal-review/",
    "shipments:board": "/runs/shipments/",
    "shipments:start": "/runs/shipments/start/",
    "shipments:feed": "/runs/shipments/feeds/fill-parent/",
    "shipments:shipment": "/runs/shipments/FILL0/",
}
VIEWS = {  # of the same pages
    "/?range=14d", "/workflows/?q=fill", "/workflows/?parent=fill-parent", "/escalations/?cause=fill",
    "/workflows/fill-parent/?tab=timeline", "/workflows/fill-parent/?tab=journal", "/workflows/fill-parent/?tab=data",
    f"/escalations/{ESCALATION}/?action=edit", "/bulk/new/?on=workflows&all=1&action=terminate",
}  # fmt: skip
ELSEWHERE = {
    "agent",  # reads Redis, not the database
    "legal_review:review",  # shows one workflow, as the page of any workflow does
    "login", "login-once", "login-second",  # show no rows
}  # fmt: skip


def addresses(where: URLResolver, space: str = "") -> dict[str, dict[str, Any]]:
    """The names of all addresses but the API's, with arguments for each."""
    found: dict[str, dict[str, Any]] = {}
    for one in where.url_patterns:
        if isinstance(one, URLPattern):
            found[space + str(one.name)] = {
                name: BULK if isinstance(kind, UUIDConverter) else 1 for name, kind in one.pattern.converters.items()
            }
        elif str(one.pattern) != "api/":
            found |= addresses(one, f"{one.namespace}:" if one.namespace else space)
    return found


def fill(first: int, count: int) -> None:
    """Rows of every kind, numbered."""
    now, numbers = timezone.now(), range(first, first + count)
    user = User.objects.get(username="admin")
    soon = now + dt.timedelta(hours=1)

    def rows(model: type[models.Model], **fields: Any) -> None:
        model._default_manager.bulk_create(
            model(**{name: value(n) if callable(value) else value for name, value in fields.items()}) for n in numbers
        )

    rows(
        Workflow, id=lambda n: f"fill{n}", type=lambda n: ("legal_review", "shipment_update", f"t{n}")[n % 3],
        version=1, parent_id="fill-parent", state=lambda n: "failed" if n % 2 else "running", created_at=now,
        updated_at=now, finished_at=lambda n: now if n % 2 else None, generation=1, summary="fill",
    )  # fmt: skip
    Escalation.objects.bulk_create(
        [
            *(_escalation(f"fill{n}~1~1", n, f"cause-{n}", user) for n in numbers),
            *(_escalation(f"fill-parent~{n}~1", n, "fill", user, workflow_id="fill-parent") for n in numbers),
        ]
    )
    for n in numbers:
        comments.add(ESCALATION, user, f"comment {n}")
        audit.record(user, "fill", ("workflow", f"fill{n}"), before={"n": n}, after={"n": n + 1})
        tokens.create(user, f"token {n}", "read")
        person = accounts.create_user(f"person{n}", ("viewer", "operator", "approver")[n % 3], "tests")
        SignIn.objects.create(session_key=f"key{n}", user=person, began_at=now, seen_at=now)
    rows(
        Decision, escalation_id=ESCALATION, version=1, action="retry", actor="admin", user=user, state="conflict",
        due_at=now,
    )  # fmt: skip
    rows(
        Approval, kind="decision", subject=lambda n: f"s{n}", escalation_id=lambda n: f"fill{n}~1~1",
        headline="Skip the step", requested_by=None, requester="mira", expires_at=soon,
        state=lambda n: "approved" if n % 2 else "waiting",
    )  # fmt: skip
    rows(
        BulkAction, target="escalations", action="retry", label="fill", digest="d", total=1, per_second=1,
        most_failing=0.2, state=lambda n: "stopped" if n % 2 else "done", user=user, actor="admin", resumed_at=now,
    )  # fmt: skip
    rows(
        BulkItem, bulk_id=BULK, place=lambda n: n, object_id=lambda n: f"fill{n}~1~1", version=1, label="fill",
        state=lambda n: "sent" if n % 2 else "failed_again",
    )  # fmt: skip
    rows(Disposition, object_type="workflow", object_id=lambda n: f"gone{n}", outcome="accepted", actor="admin", at=now)
    rows(SavedView, page="workflows", name=lambda n: f"view {n}", owner=user)
    rows(SavedView, page="escalations", name=lambda n: f"view {n}", owner=user)
    rows(Channel, name=lambda n: f"channel {n}", kind="browser")
    rows(Policy, name=lambda n: f"policy {n}")
    for policy in Policy.objects.filter(name__in=[f"policy {n}" for n in numbers]):
        Level.objects.create(policy=policy).channels.set(Channel.objects.all()[:2])
    rows(
        Incident, fingerprint=lambda n: f"cause-{n}", headline="fill", workflow_type="t", reason="final_error",
        opened_at=now, acknowledge_by=now, resolve_by=soon, policy=lambda n: Policy.objects.get(name=f"policy {n}"),
    )  # fmt: skip
    rows(
        Message, incident=lambda n: Incident.objects.get(fingerprint=f"cause-{n}"), next_at=soon,
        channel=lambda n: Channel.objects.get(name=f"channel {n}"), state="failed", error="no",
    )  # fmt: skip
    rows(
        HostEvent, id=lambda n: f"{1000 + n}-0", at=now, kind="lost", host="h", by="other", workflows=2, silent_ms=800,
        took_ms=9, taken=lambda n: [[f"fill{n}", 2, 5], ["fill-parent", 3, -1]],
    )  # fmt: skip
    rows(LabRun, kind="host", state="done", actor="admin", web_pid=1, ended_at=now)
    rows(Feed, id=lambda n: "fill-parent" if n == 0 else f"feed{n}", name="fill", sha256="x", size=1, rows=9)
    rows(
        Position, tracking=lambda n: f"FILL{n}", carrier="nordex", customer="c", origin="FRPAR", destination="DEBER",
        status="in_transit", place="FRPAR", at=now, promised_at=now, eta=now, late_min=lambda n: n, because="x",
    )  # fmt: skip
    rows(
        TrackEvent, key=lambda n: f"k{n}", tracking="FILL0", status="in_transit", place="FRPAR", at=now, eta=now,
        late_min=1, weight_kg=1, feed="fill-parent", line=lambda n: n, workflow_id=lambda n: f"fill{n}",
    )  # fmt: skip


def _escalation(name: str, number: int, cause: str, user: User, workflow_id: str = "") -> Escalation:
    workflow = workflow_id or f"fill{number}"
    detail = {
        "id": name, "workflow_id": workflow, "workflow_type": "t", "step": "1", "task_type": "extract",
        "reason": "final_error", "state": "open", "input": {"n": number},
        "errors": [{"kind": "FinalError", "message": "broken", "traceback": "x"}],
    }  # fmt: skip
    return Escalation(
        id=name, workflow_id=workflow, workflow_type="t", step="1", task_type=f"extract_{number % 5}",
        reason="final_error", state="open", fingerprint=cause, headline="extract: broken", opened_at=timezone.now(),
        detail=detail, claimed_by=user if number % 2 else None, claimed_until="2099-01-01T00:00:00Z",
    )  # fmt: skip


def counted(browser: Client, path: str) -> list[str]:
    """What a page that was looked at before asks the database."""
    browser.get(path)
    with CaptureQueriesContext(connection) as seen:
        answer = browser.get(path)
    assert answer.status_code == 200, path
    return [one["sql"] for one in seen]


def test_no_page_asks_for_each_row(config: Config) -> None:
    browser = Client()
    browser.force_login(accounts.ensure_admin(), "django.contrib.auth.backends.ModelBackend")
    row, archive = seed_demo._ordinary(0, timezone.now(), random.Random(1))
    row.id = "fill-parent"
    row.save()
    archive.workflow = row
    archive.save()
    BulkAction.objects.create(
        id=BULK, target="escalations", action="retry", label="all", digest="d", total=9, per_second=1,
        most_failing=0.2, state="stopped", actor="admin", resumed_at=timezone.now(),
    )  # fmt: skip
    fill(0, FEW)
    paths = [*PAGES.values(), *VIEWS]
    few = {path: counted(browser, path) for path in paths}
    fill(FEW, MANY)
    for path in paths:
        many = counted(browser, path)
        more = [sql[:200] for sql in many if sql not in few[path]]
        assert len(many) <= len(few[path]), (path, len(few[path]), len(many), more[:8])


def test_every_page_is_counted_above(config: Config) -> None:
    browser = Client()
    browser.force_login(accounts.ensure_admin(), "django.contrib.auth.backends.ModelBackend")
    for name, given in addresses(get_resolver()).items():
        if name in PAGES or name in ELSEWHERE:
            continue
        path = reverse(name, kwargs=given)
        answer = browser.get(path)
        is_page = answer.status_code == 200 and answer["Content-Type"].startswith("text/html")
        assert not is_page, f"{name} at {path} is a page whose queries nobody counts"
