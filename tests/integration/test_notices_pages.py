"""Notices as people see them: the page, messages on open pages, requests for approval, the clock of a cause."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser
from django.utils import timezone

from coordination.config import Config
from dashboard import accounts, approvals, claims, decisions, policy
from dashboard.models import AuditEntry
from dashboard.notices import chain, jobs, manage
from dashboard.notices.models import Channel, Incident, Message
from dashboard.work_models import Approval
from tests.notified import Receiver, admin, open_escalations, policy_with, receiving, resolve

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def receiver(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving(monkeypatch) as made:
        yield made


def test_the_page_shows_and_changes_everything(receiver: Receiver) -> None:
    browser, viewer = Browser(), Browser()
    browser.force_login(admin())
    session = browser.session
    session[accounts._SIGNED_IN] = int(time.time())
    session.save()
    viewer.force_login(accounts.create_user("vic", "viewer", "tests"))
    made = browser.post("/notices/channels/", {"name": "hook", "kind": "webhook", "target": receiver.url})
    channel = Channel.objects.get(name="hook")
    assert channel.secret in made.content.decode()
    assert channel.secret not in browser.get("/notices/").content.decode()
    assert channel.secret not in json.dumps(list(AuditEntry.objects.values("before", "after")))
    given = {"name": "p", "acknowledge_min": "1", "resolve_min": "5", "after_1": "0", "channels_1": [channel.pk]}
    assert "minutes" in browser.post("/notices/policies/", {**given, "after_1": "x"}).content.decode()
    assert browser.post("/notices/policies/", given).status_code == 302
    open_escalations(1, "<b>bold</b>")
    jobs.notify()
    page = viewer.get("/notices/").content.decode()
    assert "&lt;b&gt;bold" in page
    assert "<b>bold" not in page
    assert "Delivered" in page
    incident = Incident.objects.get()
    refused = viewer.post(f"/notices/incidents/{incident.pk}/acknowledge/")
    assert refused.status_code == 403
    browser.post(f"/notices/incidents/{incident.pk}/acknowledge/")
    incident.refresh_from_db()
    assert incident.acknowledged_by == "admin"
    assert viewer.post("/notices/channels/", {"name": "y", "kind": "browser"}).status_code == 403
    assert viewer.post(f"/notices/channels/{channel.pk}/", {"do": "test"}).status_code == 403


def test_open_pages_show_a_message_and_say_so(config: Config) -> None:
    browser = Browser()
    browser.force_login(admin())
    policy_with((0, manage.add_channel(admin(), "pages", "browser", "")))
    open_escalations(1)
    jobs.notify()
    (found,) = browser.get("/notices/fresh.json").json()["messages"]
    assert found["title"].startswith("Normal: ")
    message = Message.objects.get()
    assert message.state == "waiting"
    assert browser.post(f"/notices/messages/{message.pk}/seen/").status_code == 204
    message.refresh_from_db()
    assert message.state == "delivered"
    Message.objects.create(channel=message.channel, next_at=timezone.now())
    Message.objects.filter(state="waiting").update(created_at=timezone.now() - 61 * MINUTE)
    jobs.notify()
    assert Message.objects.get(state="failed").error == "No page of the console was open."


def test_a_request_for_approval_is_told_once_and_only_to_those_who_may_give_it(receiver: Receiver) -> None:
    asker, other = admin(), accounts.create_user("ann", "approver", "tests")
    manage.add_channel(asker, "hook", "webhook", receiver.url, approvals=True)
    manage.add_channel(asker, "pages", "browser", "", approvals=True)
    manage.add_channel(asker, "elsewhere", "webhook", receiver.url)
    decisions.submit(open_escalations(1)[0], version=1, action="skip", user=asker)
    assert not Message.objects.exists(), "nothing to approve yet"
    policy.change(asker, four_eyes=["skip"], bulk_limit=0, undo_s=0, approval_minutes=60)
    decision = decisions.submit(open_escalations(1, "other")[0], version=1, action="skip", user=asker)
    assert decision.state == "pending"
    assert [jobs.notify()["delivered"], jobs.notify()["delivered"]] == [1, 0]
    told = json.loads(receiver.bodies[0][1])
    assert told["type"] == "approval.waiting"
    assert told["data"]["requested_by"] == "admin"
    assert told["data"]["url"].endswith("/approvals/")
    shown = {}
    for user in (asker, other, accounts.create_user("vic", "operator", "tests")):
        browser = Browser()
        browser.force_login(user)
        shown[user.username] = len(browser.get("/notices/fresh.json").json()["messages"])
        counted = re.search(r'data-approvals data-n="(\d)"', browser.get("/notices/").content.decode())
        assert counted
        assert int(counted[1]) == shown[user.username]
    assert shown == {"admin": 0, "ann": 1, "vic": 0}
    approvals.refuse(Approval.objects.get().pk, other)
    assert set(Message.objects.values_list("channel__kind", "state")) == {
        ("webhook", "delivered"), ("browser", "withdrawn"),
    }  # fmt: skip


def test_the_clock_stands_on_the_list_and_on_the_page_until_somebody_looks(config: Config) -> None:
    channel = manage.add_channel(admin(), "pages", "browser", "")
    policy_with((0, channel), (600, channel), priority="high", acknowledge_s=900, resolve_s=3600)
    first, other = open_escalations(2)
    now = timezone.now()
    chain.advance(now)
    browser, viewer = Browser(), Browser()
    browser.force_login(accounts.create_user("ann", "operator", "tests"))
    viewer.force_login(accounts.create_user("vic", "viewer", "tests"))

    def shown(path: str, who: Browser = browser) -> str:
        found = re.search(
            r'id="clock">(.*?)</p>' if "~" in path else r"<tbody>(.*?)</tbody>", _text(who, path), re.DOTALL
        )
        assert found
        return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())

    page = shown(f"/escalations/{first}/")
    assert "High priority Nobody has looked at it yet; somebody has to" in page
    assert "Level 1 of 2 is told. The next" in page
    assert "I look at it" in page
    assert "I look at it" not in shown(f"/escalations/{first}/", viewer)
    assert shown("/escalations/").count("level 1 of 2") == 2
    Incident.objects.update(acknowledge_by=now - MINUTE)
    assert "Late Nobody has looked" in shown(f"/escalations/{other}/")
    assert shown("/escalations/").count(" late ") == 2
    incident = Incident.objects.get()
    answer = browser.post(f"/notices/incidents/{incident.pk}/acknowledge/", {"escalation": other})
    assert answer["Location"] == f"/escalations/{other}/"
    assert "ann looks at it. To be resolved" in shown(f"/escalations/{first}/")
    Incident.objects.update(acknowledged_at=None, acknowledged_by="")
    claims.claim(first, User.objects.get(username="admin"))
    assert "admin looks at it" in shown(f"/escalations/{other}/")
    assert shown("/escalations/").count(" admin level 1 of 2") == 2
    resolve([first])
    assert 'id="clock"' not in _text(browser, f"/escalations/{first}/")


def _text(browser: Browser, path: str) -> str:
    return browser.get(path).content.decode()
