"""Incidents, levels and messages: people are told once for each cause, in time, and nothing is lost or doubled."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import os
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
from django.core.cache import cache
from django.utils import timezone

from coordination.config import Config
from coordination.errors import BadRequest
from dashboard import accounts
from dashboard.models import Escalation
from dashboard.notices import chain, delivery, jobs, manage
from dashboard.notices.models import Incident, Message
from tests.notified import Receiver, admin, hook, open_escalations, policy_with, receiving, resolve
from tests.stack import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def receiver(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving(monkeypatch) as made:
        yield made


@pytest.fixture(autouse=True)
def lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests may deliver on the same server."""
    monkeypatch.setattr(jobs, "_LOCK", f"notices:{os.urandom(8).hex()}")


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


def test_an_alarm_that_has_not_arrived_does_not_come_after_the_all_clear(receiver: Receiver) -> None:
    policy_with((0, hook(receiver)))
    ids = open_escalations(1)
    receiver.answers = [503]
    assert jobs.notify()["waiting"] == 1
    resolve(ids)
    assert jobs.notify()["closed"] == 1
    Message.objects.update(next_at=timezone.now())
    jobs.notify()
    assert [json.loads(body)["type"] for _, body in receiver.bodies[1:]] == ["incident.resolved"]
    assert set(Message.objects.values_list("level", "state")) == {(1, "withdrawn"), (Message.RESOLVED, "delivered")}


def test_one_worker_delivers_at_a_time(receiver: Receiver) -> None:
    policy_with((0, hook(receiver)))
    open_escalations(1)
    cache.add(jobs._LOCK, 1, jobs._LOCK_S)
    assert jobs.notify()["opened"] == 1
    assert receiver.bodies == []
    cache.delete(jobs._LOCK)
    assert jobs.notify()["delivered"] == 1
    assert cache.get(jobs._LOCK) is None


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
