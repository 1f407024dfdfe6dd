"""Pages follow the language of who reads them; programs are answered in English."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone, translation

from coordination.config import Config
from dashboard import accounts, audit, live
from dashboard.models import Workflow
from tests.integration.test_live_consumer import Socket, cookie_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]
GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de-AT,de;q=0.9,en;q=0.5"}


@pytest.fixture
def admin(config: Config) -> User:
    return accounts.ensure_admin()


@pytest.fixture(autouse=True)
def english_afterwards() -> Iterator[None]:
    """A client's requests leave their language to the thread."""
    yield
    translation.deactivate()


def client_of(user: User, **headers: str) -> Client:
    client = Client(**headers)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def test_a_page_follows_the_browser_and_a_choice_comes_first(admin: User) -> None:
    client = client_of(admin, **GERMAN)
    page = client.get("/workflows/")
    assert (page["Content-Language"], "Noch keine Workflows" in page.content.decode()) == ("de", True)
    assert "Accept-Language" in page["Vary"]
    back = client.post("/settings/language/", {"language": "en", "next": "/workflows/"})
    assert (back.status_code, back["Location"]) == (302, "/workflows/")
    assert "No workflows yet" in client.get("/workflows/").content.decode()
    client.post("/settings/language/", {"language": ""})
    assert "Noch keine Workflows" in client.get("/workflows/").content.decode()


def test_a_choice_follows_its_person_to_other_browsers_and_is_nobody_elses(admin: User) -> None:
    def says_german(client: Client) -> bool:
        return "Noch keine Workflows" in client.get("/workflows/").content.decode()

    here, there, stranger = client_of(admin), client_of(admin), Client()
    assert not says_german(there)
    here.post("/settings/language/", {"language": "de"})
    assert says_german(there), "a session that is open"
    assert there.cookies["ganglion_language"].value == "de", "sockets read the cookie"
    later = client_of(admin)
    assert says_german(later), "a session that begins"
    assert "Anmelden" not in stranger.get("/login/").content.decode()
    assert audit.AuditEntry.objects.latest("pk").action == "user.language"
    later.post("/settings/language/", {"language": ""})
    assert not says_german(later)
    assert not says_german(here)
    assert here.cookies["ganglion_language"].value == ""


@pytest.mark.parametrize("form", [{"language": "tlh"}, {"language": "en", "next": "https://evil.example/"}])
def test_a_choice_is_one_of_ours_and_leads_nowhere_else(form: dict[str, str]) -> None:
    answer = Client().post("/settings/language/", form)
    assert answer["Location"] == "/"
    assert answer.cookies.get("ganglion_language") is None or form["language"] == "en"


def test_a_program_is_answered_in_english_and_the_audit_log_is_english(admin: User) -> None:
    client = client_of(admin, **GERMAN)
    answer = client.get("/api/workflows/no-such-one")
    assert "There is no workflow" in answer.content.decode()
    assert "Content-Language" not in answer
    refused = client.post("/settings/people/", {"username": "", "role": "viewer"})
    assert "Geben Sie einen Namen" in refused.content.decode()
    before = audit.AuditEntry.objects.count()
    client.post("/settings/people/", {"username": "vera", "role": "viewer"})
    entry = audit.AuditEntry.objects.order_by("pk")[before]
    assert entry.action == "user.create"
    assert "viewer" in json.dumps(entry.after)


async def test_a_socket_speaks_the_language_of_its_page(admin: User, config: Config) -> None:
    from asgiref.sync import sync_to_async

    from config.asgi import application

    cookie = await sync_to_async(cookie_of)(admin)

    def opened(**more: str) -> Socket:
        headers: Any = {"host": "localhost", "origin": "http://localhost", "cookie": f"ganglion_session={cookie}"}
        pairs = [(name.encode(), value.encode()) for name, value in {**headers, **more}.items()]
        return Socket(application, "/live/workflows/", pairs)

    english, german = opened(), opened(**{"accept-language": "de"})
    for socket, words in ((english, "No workflows yet"), (german, "Noch keine Workflows")):
        assert await socket.connect()
        assert words in (await said(socket))["content"]
    now = timezone.now()
    await Workflow.objects.acreate(id="fresh", type="t", state="running", created_at=now, updated_at=now)
    await live.publish_async(["workflows"])
    pushed = [(await said(socket))["content"] for socket in (english, german)]
    assert ["1 workflow<" in pushed[0], "Läuft" in pushed[0], "Läuft" in pushed[1]] == [True, False, True]
    await german.say({"path": "/workflows/", "language": "en"})  # a page that was opened before its reader chose
    assert "Läuft" not in (await said(german))["content"]
    for socket in (english, german):
        await socket.leave()


async def said(socket: Socket) -> dict[str, Any]:
    while True:
        found = await socket.text()
        if "content" in found:
            return found
