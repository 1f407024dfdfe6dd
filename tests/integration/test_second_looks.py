"""What a second look rests on: what approvers are shown, what needs two people or a password, what is written down."""

from __future__ import annotations

import datetime as dt
import json
import time
import zlib
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import AsyncClient, Client
from django.utils import timezone

from coordination.config import Config
from coordination.errors import BadRequest, OutcomeUnknown
from dashboard import accounts, audit, decisions, differences, jobs, operations, schemas, steering
from dashboard.models import ApiToken, AuditEntry, Escalation, LoginLink
from dashboard.people import sessions
from dashboard.people.views import CHALLENGES_PER_MINUTE
from dashboard.queries.escalation_history import history
from dashboard.redaction import hidden
from dashboard.views.audit import EXPORTS_PER_MINUTE
from dashboard.work_models import Approval
from tests import mirrored
from tests.integration.test_decisions import _stored as stored
from tests.integration.test_two_people import journal_of, person, rules
from tests.mirrored import Word, sql, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]
PASSWORD = "correct horse battery"


def browser_of(user: User, ago_s: int = 0) -> Client:
    """Somebody's browser, which signed in so long ago."""
    browser = Client()
    browser.force_login(user)
    session = browser.session
    session["signed_in_at"] = int(time.time()) - ago_s
    session.save()
    return browser


# --- what an approver is shown ------------------------------------------------------------


def test_where_secrets_are() -> None:
    value = {"a": 1, "keys": [{"token": "tok_x"}], "card": {"pin": "1234", "name": "n"}, "token": "[redacted]"}
    assert hidden(value) == ["keys[0].token", "card.pin"]
    assert hidden({"a": [1, 2]}) == []


def test_an_approver_is_told_of_a_secret_that_changes(config: Config) -> None:
    ann, eve = person("ann"), person("eve", "approver")
    rules(four_eyes=["edit"])
    stored(input={"amount": 10, "token": "[redacted]"}, actions=["edit", "retry"])
    payload = {"amount": 10, "token": "tok_of_mine"}
    decisions.submit("w1~1~1", version=1, action="edit", payload=payload, user=ann)
    request = Approval.objects.get()
    assert request.detail["hidden"] == ["token"]
    page = browser_of(eve).get("/escalations/w1~1~1/").content.decode()
    assert "token: a secret that is given anew" in page
    assert "token: a secret that is given anew" in browser_of(eve).get("/approvals/").content.decode()
    assert "tok_of_mine" not in page + json.dumps(request.detail)
    told = [line.text for one in history(Escalation.objects.get()) for line in one.changed]
    assert told == ["token: a secret that is given anew"]


def test_many_secrets_hide_none(config: Config) -> None:
    person("eve", "approver"), rules(four_eyes=["edit"])
    stored(input={"token": "[redacted]"}, actions=["edit"])
    payload = {**{f"a{number}_token": "x" for number in range(60)}, "token": "tok_of_mine"}
    decisions.submit("w1~1~1", version=1, action="edit", payload=payload, user=person("ann"))
    told = [line.text for one in history(Escalation.objects.get()) for line in one.changed]
    assert "11 more secrets are given anew" in told


def test_what_is_cut_is_not_called_the_same() -> None:
    old = {"list": list(range(differences.MOST + 500))}
    found = differences.lines(old, {"list": [*old["list"][:-1], "another"]})
    assert found[-1].kind == "gap"
    assert "504 more lines are not compared" in found[-1].text


@pytest.mark.parametrize("more", [0, 7])
def test_long_lists_of_records_are_compared_soon(more: int) -> None:
    old = [{"id": number} for number in range(1_300)]
    new = [{"id": number + 5_000} for number in range(1_300 + more)]
    began = time.process_time()
    found = differences.lines(old, new)
    assert time.process_time() - began < 5.0  # it took minutes
    assert sum(line.kind == "old" and "id" in line.text for line in found) == 1_300
    assert sum(line.kind == "new" and "id" in line.text for line in found) == 1_300 + more


# --- what needs two people, or the password -------------------------------------------------


async def test_a_restart_that_needs_two_people_is_not_had_from_the_workflow(config: Config) -> None:
    ann, _ = await sql(person, "ann"), await sql(person, "eve", "approver")
    await sql(rules, four_eyes=["restart"])
    async with mirrored.host_and_worker(config) as client:
        workflow_id = await client.submit("mirrored_shout", Word("bad"))
        async with mirrored.relay(config):
            found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
        before = await journal_of(client, workflow_id)
        with pytest.raises(BadRequest, match="needs a second one"):
            await sql(steering.restart, ann, workflow_id, found.step)
        assert await journal_of(client, workflow_id) == before
        await sql(rules, four_eyes=[])
        assert await sql(steering.restart, ann, workflow_id, found.step) == workflow_id


async def test_a_restart_that_decides_nothing_needs_nobody_else(config: Config) -> None:
    ann, _ = await sql(person, "ann"), await sql(person, "eve", "approver")
    await sql(rules, four_eyes=["restart"])
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        workflow_id = await client.submit("mirrored_ask", Word("x"))
        found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
        assert await sql(steering.restart, ann, workflow_id, found.step) == workflow_id


def test_an_old_sign_in_makes_nothing_that_lasts(config: Config) -> None:
    admin = accounts.ensure_admin()
    admin.set_password(PASSWORD)
    admin.save()
    browser = browser_of(admin, ago_s=3_600)
    bodies: dict[str, dict[str, Any]] = {
        "/settings/tokens/": {"name": "kept words", "scope": "admin"},
        "/settings/people/": {"username": "new", "role": "admin"},
        f"/settings/people/{admin.pk}/": {"do": "link"},
        "/settings/policy/": {"bulk_limit": "5", "undo_s": "0", "approval_minutes": "60"},
    }
    for address, body in bodies.items():
        assert b"Give your password again" in browser.post(address, body).content, address
    assert (ApiToken.objects.count(), LoginLink.objects.count(), User.objects.count()) == (0, 0, 1)
    assert b"kept words" in browser.post("/settings/tokens/", bodies["/settings/tokens/"]).content
    assert b"not your password" in browser.post("/settings/confirm/", {"password": "no"}).content
    assert browser.post("/settings/confirm/", {"password": PASSWORD}).status_code == 302
    for address, body in bodies.items():
        assert b"password again" not in browser.post(address, body).content, address
    assert (ApiToken.objects.count(), LoginLink.objects.count(), User.objects.count()) == (1, 2, 2)


def test_a_first_password_needs_a_new_sign_in_and_the_session_stays_listed(config: Config) -> None:
    admin = accounts.ensure_admin()
    body = {"new": PASSWORD, "again": PASSWORD}
    assert b"sign in by a new link" in browser_of(admin, ago_s=3_600).post("/settings/password/", body).content
    admin.refresh_from_db()
    assert not admin.has_usable_password()
    browser = browser_of(admin)
    assert browser.post("/settings/password/", body).status_code == 302
    assert browser.session.session_key in [row.session_key for row in sessions.living(admin)]


# --- what is written down, and what is kept ---------------------------------------------------


def test_a_command_whose_outcome_is_unknown_stays_in_the_log(config: Config) -> None:
    ann = person("ann")
    with pytest.raises(OutcomeUnknown):
        with operations.audited(ann, "workflow.terminate", ("workflow", "w1"), None, None, {"reason": "x"}):
            raise OutcomeUnknown("Nobody knows.")
    with pytest.raises(BadRequest):
        with operations.audited(ann, "workflow.cancel", ("workflow", "w1"), None):
            raise BadRequest("Refused.")
    entries = AuditEntry.objects.filter(action__startswith="workflow.").order_by("pk")
    assert [(one.action, one.after) for one in entries] == [
        ("workflow.terminate", {"reason": "x"}),
        ("workflow.terminate", {"outcome": "unknown"}),
    ]
    assert audit.verify().intact


async def test_the_log_is_exported_a_part_at_a_time(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.views.audit._AT_ONCE", 3)
    viewer = await sql(person, "ann", "viewer")
    for number in range(7):
        await sql(audit.record, "bob", "thing.do", ("thing", str(number)))
    browser = AsyncClient()
    await sql(browser.force_login, viewer)
    answer = await browser.post("/audit/export/", {"actor": "bob"})
    parts = [part async for part in answer]
    rows = [json.loads(line) for line in b"".join(parts).splitlines()]
    assert [row["object_id"] for row in rows] == [str(number) for number in range(7)]
    assert len(parts) >= 3
    packed = await browser.post("/audit/export/", {"actor": "bob"}, headers={"accept-encoding": "gzip"})
    assert packed["Content-Encoding"] == "gzip"
    unpacker = zlib.decompressobj(31)  # one member, as browsers read it
    assert unpacker.decompress(b"".join([part async for part in packed])) == b"".join(parts)
    answers = [await browser.post("/audit/export/", {}) for _ in range(2 * EXPORTS_PER_MINUTE)]
    assert 302 in {answer.status_code for answer in answers}
    await sync_to_async(connections.close_all)()  # in the thread that the browser's requests were answered in


def test_strangers_leave_little_behind(config: Config) -> None:
    stranger = Client(REMOTE_ADDR="203.0.113.7")
    assert stranger.get("/login/passkey/").status_code == 200
    row = Session.objects.get()
    assert row.expire_date < timezone.now() + dt.timedelta(minutes=11)
    answers = [Client(REMOTE_ADDR="203.0.113.7").get("/login/passkey/") for _ in range(2 * CHALLENGES_PER_MINUTE)]
    assert 429 in {answer.status_code for answer in answers}
    assert Session.objects.count() <= 2 * CHALLENGES_PER_MINUTE  # two minutes' worth at most
    Session.objects.update(expire_date=timezone.now() - dt.timedelta(seconds=1))
    jobs.age_out()
    assert Session.objects.count() == 0


def test_whoever_signs_in_after_that_stays_signed_in(config: Config) -> None:
    admin = accounts.ensure_admin()
    admin.set_password(PASSWORD)
    admin.save()
    browser = Client()
    browser.get("/login/passkey/")
    browser.post("/login/", {"username": "admin", "password": PASSWORD})
    assert browser.session.get_expiry_age() > 86_400


def test_a_schema_fetches_nothing() -> None:
    found = schemas.problems({}, {"$ref": "http://127.0.0.1:1/schema.json"})
    assert "The agent's schema itself is wrong" in found[""][0]
    assert schemas.problems(
        {"a": "x"}, {"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}
    )
