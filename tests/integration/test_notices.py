"""Incidents, levels and messages: people are told once for each cause, in time, and nothing is lost or doubled."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import http.server
import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email import message_from_string
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser
from django.utils import timezone

from coordination.config import Config
from coordination.domain import ErrorInfo, EscalationSnapshot, EscalationState, Reason
from coordination.errors import BadRequest
from dashboard import accounts, approvals, claims, decisions, mirror, policy
from dashboard.models import AuditEntry, Escalation
from dashboard.notices import chain, delivery, jobs, manage
from dashboard.notices.models import Channel, Incident, Level, Message, Policy
from dashboard.work_models import Approval
from tests.stack import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = dt.timedelta(minutes=1)


class Receiver:
    """A web server that takes messages; it can refuse, and can stand still."""

    def __init__(self) -> None:
        self.bodies: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []  # for the next calls; 200 when empty
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.bodies.append(({k.lower(): v for k, v in self.headers.items()}, body))
                receiver.hold.wait(20)
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.bodies]


@pytest.fixture
def receiver(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver on this machine, which debugging allows to be called."""
    from coordination import config as coordination_config

    monkeypatch.setenv("GANGLION_DEBUG", "1")
    coordination_config.current.cache_clear()
    made = Receiver()
    yield made
    made.hold.set()
    made.server.shutdown()
    made.server.server_close()


def admin() -> User:
    return accounts.ensure_admin()


def open_escalations(count: int, cause: str = "card declined", first: int = 1, kind: str = "payment") -> list[str]:
    now = int(time.time() * 1000)
    made = [
        EscalationSnapshot(
            id=f"{cause.replace(' ', '')}{n}~1~1", workflow_id=f"{cause.replace(' ', '')}{n}", workflow_type=kind,
            step="1", task_type="charge", reason=Reason.FINAL_ERROR, state=EscalationState.OPEN,
            errors=[ErrorInfo("ValueError", cause)], opened_ms=now,
        )
        for n in range(first, first + count)
    ]  # fmt: skip
    mirror.escalations(made)
    return [one.id for one in made]


def resolve(ids: list[str]) -> None:
    Escalation.objects.filter(pk__in=ids).update(state="resolved")


def policy_with(*levels: tuple[int, Channel], **values: Any) -> Policy:
    made = Policy.objects.create(name=values.pop("name", "all"), **values)
    for after_s, channel in levels:
        Level.objects.create(policy=made, after_s=after_s).channels.add(channel)
    return made


def hook(receiver: Receiver, name: str = "hook") -> Channel:
    return manage.add_channel(admin(), name, "webhook", receiver.url)


def test_many_failures_of_one_cause_tell_people_once_by_a_signed_message(receiver: Receiver) -> None:
    channel = hook(receiver)
    policy_with((0, channel), priority="high")
    ids = open_escalations(40) + open_escalations(3, "no such host")
    first, second = jobs.notify(), jobs.notify()
    assert (first["opened"], first["delivered"], second["opened"], second["delivered"]) == (2, 2, 0, 0)
    headers, body = receiver.bodies[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    secret = base64.b64decode(channel.secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 300
    told = {json.loads(body)["data"]["open"]: json.loads(body) for _, body in receiver.bodies}
    assert set(told) == {40, 3}
    assert told[40]["type"] == "incident.waiting"
    assert told[40]["data"]["priority"] == "high"
    resolve(ids[:39])
    assert jobs.notify()["closed"] == 0
    resolve(ids)
    assert jobs.notify()["closed"] == 2
    assert [json.loads(body)["type"] for _, body in receiver.bodies[2:]] == ["incident.resolved"] * 2
    open_escalations(1, first=100)
    assert jobs.notify()["opened"] == 1, "a cause that comes back is told again"
    assert len(set(receiver.ids())) == len(receiver.ids()) == 5


def test_levels_follow_until_somebody_claims_it(receiver: Receiver) -> None:
    first, second = hook(receiver, "first"), hook(receiver, "second")
    policy_with((0, first), (600, second), (1200, first), acknowledge_s=600, resolve_s=3600)
    ids = open_escalations(2)
    now = timezone.now()
    assert chain.advance(now)["told"] == 1
    assert chain.advance(now + 9 * MINUTE)["told"] == 0
    assert chain.advance(now + 11 * MINUTE)["told"] == 1
    user = accounts.create_user("ann", "operator", "tests")
    Escalation.objects.filter(pk=ids[0]).update(claimed_by=user, claimed_until=now + 25 * MINUTE)
    assert chain.advance(now + 21 * MINUTE)["told"] == 0
    incident = Incident.objects.get()
    assert (incident.acknowledged_by, incident.told) == ("ann", 2)
    assert chain.advance(now + 26 * MINUTE)["told"] == 1, "the claim ran out"
    assert list(Message.objects.order_by("level").values_list("level", "channel__name")) == [
        (1, "first"), (2, "second"), (3, "first"),
    ]  # fmt: skip


def test_a_receiver_that_is_down_is_tried_again_under_the_same_id_and_a_refusal_is_final(receiver: Receiver) -> None:
    policy_with((0, hook(receiver)))
    open_escalations(1)
    receiver.answers = [503, 429]
    assert jobs.notify()["waiting"] == 1
    message = Message.objects.get()
    assert (message.tries, message.error) == (1, "It answered 503.")
    for _ in range(2):
        Message.objects.update(next_at=timezone.now())
        jobs.notify()
    assert Message.objects.get().state == "delivered"
    assert len(set(receiver.ids())) == 1
    receiver.answers = [410]
    open_escalations(1, "other")
    jobs.notify()
    failed = Message.objects.get(state="failed")
    assert "410" in failed.error
    manage.try_again(admin(), failed)
    assert jobs.notify()["delivered"] == 1


def test_two_workers_send_a_message_once(receiver: Receiver) -> None:
    policy_with((0, hook(receiver)))
    open_escalations(1)
    chain.advance()
    receiver.hold.clear()
    other = threading.Thread(target=_in_thread, args=(delivery.deliver,))
    other.start()
    deadline = time.monotonic() + 10
    while not receiver.bodies and time.monotonic() < deadline:
        time.sleep(0.01)
    assert delivery.deliver()["delivered"] == 0
    receiver.hold.set()
    other.join(20)
    assert len(receiver.bodies) == 1
    assert Message.objects.get().state == "delivered"


def _in_thread(work: Any) -> None:
    from django.db import connections

    try:
        work()
    finally:
        connections.close_all()


_SENDER = """
import django
django.setup()
from dashboard.notices import jobs
print("ready", flush=True)
jobs.notify()
"""


def test_a_worker_killed_while_it_sends_loses_and_doubles_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings
    from django.db import connection

    policy_with((0, hook(receiver)))
    open_escalations(1)
    open_escalations(1, "other")
    if connection.vendor == "sqlite":
        database = f"sqlite://{connection.settings_dict['NAME']}"
    else:
        database = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{connection.settings_dict['NAME']}"
    environ = {
        **os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": settings.SECRET_KEY, "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    receiver.hold.clear()  # the receiver has the message, but has not answered yet
    worker = subprocess.Popen([sys.executable, "-c", _SENDER], env=environ, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not receiver.bodies and time.monotonic() < deadline:
        time.sleep(0.02)
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    receiver.hold.set()
    assert jobs.notify()["delivered"] == 1, "the one under way is leased, the other is sent"
    Message.objects.filter(state="waiting").update(next_at=timezone.now())  # the lease runs out
    assert jobs.notify()["delivered"] == 1
    assert set(Message.objects.values_list("state", flat=True)) == {"delivered"}
    assert len(set(receiver.ids())) == 2, "every try of a message carries one id"


class _Mailbox(socketserver.StreamRequestHandler):
    """A mail server as small as one can be."""

    got: list[str] = []

    def handle(self) -> None:
        say = lambda words: self.wfile.write(f"{words}\r\n".encode())  # noqa: E731
        say("220 ready")
        while line := self.rfile.readline().decode().strip():
            if line.upper().startswith("DATA"):
                say("354 go on")
                lines = []
                while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(text)
                self.got.append("\n".join(lines))
                say("250 kept")
            elif line.upper().startswith("RCPT") and "nobody" in line:
                say("550 no such person")
            elif line.upper().startswith("QUIT"):
                say("221 bye")
                return
            else:
                say("250 ok")


def test_mail_arrives_with_what_people_need(config: Config, settings: Any) -> None:
    _Mailbox.got = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mailbox) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.server_address[1]
        english = manage.add_channel(admin(), "ops", "email", "ops@example.com, more@example.com")
        german = manage.add_channel(admin(), "bereit", "email", "bereit@example.com", language="de")
        policy_with((0, english)).levels.get().channels.add(german)
        open_escalations(2, "card\r\nBcc: everybody@example.com")
        assert jobs.notify()["delivered"] == 2
        refused = manage.test_channel(admin(), manage.add_channel(admin(), "gone", "email", "nobody@example.com"))
        assert (refused.state, "refuses nobody@example.com" in refused.error) == ("failed", True)
        server.shutdown()
    mails = [message_from_string(one) for one in _Mailbox.got]
    (mail,) = (one for one in mails if one["To"] != "bereit@example.com")
    (other,) = (one for one in mails if one["To"] == "bereit@example.com")
    assert "2 Eskalationen von payment warten auf einen Menschen." in other.get_payload(decode=True).decode()
    assert mail["To"] == "ops@example.com, more@example.com"
    assert mail["Bcc"] is None
    assert mail["Message-ID"].startswith("<msg_")
    assert "2 escalations wait for a person, of payment" in mail.get_payload()
    assert f"{settings.PUBLIC_URL}/escalations/?cause=" in mail.get_payload().replace("=\n", "").replace("=3D", "=")


def test_slack_gets_text_that_mentions_nobody(receiver: Receiver) -> None:
    policy_with((0, manage.add_channel(admin(), "team", "slack", receiver.url)))
    open_escalations(1, "<!channel> & <https://evil.example|click>")
    jobs.notify()
    text = json.loads(receiver.bodies[0][1])["text"]
    assert "<" not in text
    assert "&lt;!channel&gt; &amp;" in text


def test_only_listed_hosts_are_told(config: Config, settings: Any) -> None:
    for url in ("http://127.0.0.1:1/x", "https://example.org/hook", "https://169.254.169.254/latest", "ftp://x"):
        with pytest.raises(BadRequest):
            manage.add_channel(admin(), "x", "webhook", url)
    settings.NOTIFY_HOSTS = ["169.254.169.254"]
    with pytest.raises(BadRequest, match="never called"):
        manage.add_channel(admin(), "x", "webhook", "https://169.254.169.254/latest")


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
