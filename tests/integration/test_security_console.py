"""The console as an attacker meets it: other origins, other roles, old sessions, odd names, forged headers."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import URLPattern, get_resolver

from config.origin import is_same_origin
from coordination import client as core
from coordination.config import Config
from dashboard import accounts
from dashboard.models import ApiToken, AuditEntry, LoginLink
from dashboard.roles import allowed
from tests import mirrored
from tests.integration.test_api import Caller
from tests.mirrored import sql as call

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def admin(config: Config, transactional_db: None) -> User:
    return accounts.ensure_admin()


def browser_of(user: User, **options: Any) -> Client:
    browser = Client(raise_request_exception=False, **options)
    browser.force_login(user)
    return browser


def person(role: str, admin: User) -> User:
    return User.objects.get(pk=accounts.create_user(f"the-{role}", role, admin).pk)


ODD = {"workflow_id": "wf", "escalation_id": "wf~0~1", "task_type": "t", "instance": "i", "name": "n", "part": "input",
       "decision_id": UUID(int=1), "approval_id": UUID(int=1), "message_id": UUID(int=1), "incident_id": UUID(int=1),
       "channel_id": 1, "policy_id": 1, "sign_in_id": 1,
       "token_id": 1, "user_id": 1, "raw": "x", "slug": "x", "feed_id": "x", "tracking": "x"}  # fmt: skip


def routes() -> list[tuple[str, str]]:
    """Every address of the console as (name, path), with something in each gap."""
    found: list[tuple[str, str]] = []

    def walk(patterns: Any, prefix: str) -> None:
        for one in patterns:
            place = prefix + str(one.pattern)
            if isinstance(one, URLPattern):
                path = place
                for gap, value in ODD.items():
                    for kind in ("str", "int", "slug", "path", "uuid"):
                        path = path.replace(f"<{kind}:{gap}>", str(value))
                found.append((one.name or "", f"/{path}"))
            elif not place.startswith("api/"):
                walk(one.url_patterns, place)

    walk(get_resolver().url_patterns, "")
    return [(name, path) for name, path in found if "<" not in path]


OPEN = {
    "login",
    "login-once",
    "login-second",
    "login-passkey",
    "logout",
    "healthz",
    "readyz",
    "metrics",
    "theme",
    "language",
}


def test_every_page_but_the_login_asks_who_is_there(admin: User) -> None:
    for name, path in routes():
        if name not in OPEN:
            for answer in (Client().get(path), Client().post(path)):
                assert answer.status_code == 405 or answer["Location"].startswith("/"), path


def test_a_viewer_changes_nothing(admin: User) -> None:
    viewer = browser_of(person("viewer", admin))
    entries = AuditEntry.objects.count()
    own = {
        "settings", "settings-confirm", "password", "token-create", "token-revoke", "factor-app", "passkey-options",
        "passkey-add", "factor-change", "session-end", "audit-export", "notice-seen", "view-save", "view-delete",
    }  # fmt: skip
    for name, path in routes():
        if name not in OPEN | own:
            assert viewer.post(path, {"decision_id": "x", "action": "retry"}).status_code in (403, 405), path
    assert AuditEntry.objects.count() == entries
    viewer.post("/settings/tokens/", {"name": "x", "scope": "admin"})
    assert not ApiToken.objects.filter(scope="admin", user__username="the-viewer").exists()


def test_nothing_is_changed_by_a_link_or_without_a_forms_token(admin: User) -> None:
    browser = browser_of(admin, enforce_csrf_checks=True)
    entries = AuditEntry.objects.count()
    for _, path in routes():
        browser.get(path)
        assert browser.post(path).status_code in (403, 405), path
    assert AuditEntry.objects.count() == entries


def test_a_person_ends_only_their_own_tokens(admin: User) -> None:
    theirs = Caller("operator").token
    viewer = browser_of(person("viewer", admin))
    assert viewer.post(f"/settings/tokens/{theirs.pk}/revoke/").status_code == 404
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_no_address_leads_to_another_site(admin: User, elsewhere: str) -> None:
    browser = browser_of(admin)
    assert browser.get("/login/", {"next": elsewhere})["Location"] == "/"
    assert browser.post("/settings/theme/", {"next": elsewhere, "theme": "dark"})["Location"] == "/"


def test_a_link_is_used_once_and_a_forged_host_gets_none(admin: User) -> None:
    raw = accounts.make_login_link(admin).split("/")[-2]
    path = f"/login/once/{raw}/"
    assert Client().get(path).status_code == 200  # looking does not use it up
    assert Client().post(path).status_code == 302
    assert Client().post(path).status_code == 410
    browser = browser_of(admin)
    links = LoginLink.objects.count()
    body = {"username": "new", "role": "viewer"}
    assert browser.post("/settings/people/", body, headers={"host": "evil.example"}).status_code == 400
    assert LoginLink.objects.count() == links
    page = Client().get(path)
    assert page["Cache-Control"].startswith("max-age=0") and page["Referrer-Policy"] == "same-origin"


def test_an_old_login_registers_no_agent(admin: User) -> None:
    admin.set_password("correct horse battery")
    admin.save()
    browser = browser_of(admin)
    session = browser.session
    session["signed_in_at"] = int(time.time()) - 3_600
    session.save()
    body = {"name": "r", "url": "https://agents.example.com/", "types": "t"}
    asked = browser.post("/agents/remote/register/", body)
    assert asked.status_code == 422 and b"Give your password again" in asked.content
    assert b'name="password"' in browser.get("/agents/").content
    wrong = browser.post("/agents/remote/register/", {**body, "password": "no"})
    assert b"not your password" in wrong.content
    by_api = browser.post("/api/remote-agents", json.dumps({**body, "types": ["t"]}), content_type="application/json")
    assert (by_api.status_code, by_api.json()["code"]) == (403, "confirmation_needed")
    assert core.sync().inspect.remote_agents() == []
    browser.post("/agents/remote/register/", {**body, "password": "correct horse battery"})
    assert b'name="password"' not in browser.get("/agents/").content


async def test_secrets_in_a_result_need_a_role_a_scope_and_leave_a_trace(config: Config, admin: User) -> None:
    reader, operator = await call(Caller, "operator", "read"), await call(Caller, "operator", "operate")
    async with mirrored.host_and_worker(config):
        body = {"type": "mirrored_wait", "input": {"word": "x", "api_key": "open-sesame-1234"}}
        workflow_id = (await call(operator.post, "/workflows", body)).json()["id"]
        secret = "sk-live-abcdefgh12345678"
        await call(operator.post, f"/workflows/{workflow_id}/signal", {"name": "go", "payload": secret})
        path = f"/workflows/{workflow_id}/result"
        revealed = AuditEntry.objects.filter(action="workflow.reveal")
        hidden = await call(reader.get, path, wait_s=10)
        assert (hidden.status_code, hidden.json()["result"]) == (200, "[redacted]")
        assert not await call(revealed.exists)
        shown = await call(operator.get, path)
        assert shown.json()["result"] == secret and shown["Cache-Control"] == "no-store"
        assert await call(revealed.count) == 1
        browser = await call(browser_of, admin)
        for tab in ("steps", "journal", "data"):
            page = await call(browser.get, f"/workflows/{workflow_id}/", {"tab": tab})
            assert b"open-sesame" not in page.content and b"abcdefgh1234" not in page.content
            assert page["Cache-Control"] == "no-store"


def test_every_answer_carries_the_guards(admin: User) -> None:
    answer = browser_of(admin).get("/")
    policy = answer["Content-Security-Policy"]
    for rule in ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert rule in policy
    assert "unsafe" not in policy and "*" not in policy
    assert answer["X-Content-Type-Options"] == "nosniff" and answer["X-Frame-Options"] == "DENY"


def test_cookies_stay_out_of_scripts_and_off_other_sites(admin: User) -> None:
    admin.set_password("correct horse battery")
    admin.save()
    browser = Client()
    browser.get("/login/")
    browser.post("/login/", {"username": admin.username, "password": "correct horse battery"})
    for name in ("ganglion_session", "ganglion_csrf"):
        assert browser.cookies[name]["httponly"] and browser.cookies[name]["samesite"] == "Lax"


@pytest.mark.parametrize(
    "odd", ["{0}:x", "a}b{c", "*", "..%2f..%2fetc", "%0d%0aSet-Cookie: x=1", "a~b~c", "é" * 70, "x" * 900]
)  # fmt: skip
def test_odd_names_reach_no_other_key(admin: User, odd: str) -> None:
    browser = browser_of(admin)
    own = f"{core.sync().connection.keys.prefix}*workflow*"
    keys = set(core.sync().call("KEYS", own))
    for path in (f"/workflows/{odd}/", f"/escalations/{odd}/", f"/agents/{odd}/", f"/workflows/{odd}/input.json"):
        assert browser.get(path).status_code == 404, path
    for path in (f"/workflows/{odd}/cancel/", f"/workflows/{odd}/signal/", f"/workflows/{odd}/retry-now/",
                 f"/escalations/{odd}/claim/", f"/escalations/{odd}/release/", f"/agents/{odd}/drain/"):  # fmt: skip
        answer = browser.post(path, {"name": "go", "step": odd})
        assert answer.status_code in (302, 404), (path, answer.status_code)
    assert set(core.sync().call("KEYS", own)) == keys


def test_measures_from_outside_need_a_token(admin: User) -> None:
    reader = Caller("viewer", "read")
    assert Client().get("/metrics").status_code == 200  # from this machine
    for headers in ({"x-forwarded-for": "203.0.113.9"}, {"x-real-ip": "203.0.113.9"}):
        assert Client().get("/metrics", headers=headers).status_code == 401
    assert Client().get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 401
    answer = reader.http.get("/metrics", headers={"x-forwarded-for": "203.0.113.9"})
    assert answer.status_code == 200


def test_forms_submit_only_so_much(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.cache.backends.locmem import LocMemCache

    monkeypatch.setattr("dashboard.operations.SUBMITS_PER_MINUTE", 2)
    monkeypatch.setattr("dashboard.api.limits.cache", LocMemCache("forms", {}))
    browser = browser_of(admin)
    answers = [browser.post("/agents/types/t/test/", {"payload": "{}"}) for _ in range(3)]
    assert b"More than 2 calls in a minute" in answers[-1].content
    assert b"More than 2 calls in a minute" not in answers[1].content


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("http://localhost", "localhost", True),
        ("https://localhost", "localhost:443", True),
        ("http://localhost:9999", "localhost:8000", False),
        ("http://localhost", "localhost:8000", False),
        ("http://evil.example", "evil.example", False),
        ("http://evil.example", "localhost", False),
        ("http://localhost@evil.example", "localhost", False),
        ("null", "localhost", False),
        ("", "localhost", False),
        ("http://localhost:x", "localhost", False),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("https://ganglion.example.com", "inner:8000", True),
    ],
)
def test_sockets_are_taken_from_ones_own_pages_only(origin: str, host: str, same: bool) -> None:
    hosts = ["localhost", "127.0.0.1", "[::1]"]
    with override_settings(ALLOWED_HOSTS=hosts, CSRF_TRUSTED_ORIGINS=["https://ganglion.example.com"]):
        assert is_same_origin(origin, host) is same


def test_who_decides_is_never_taken_from_the_request(admin: User) -> None:
    assert "actor" not in msgspec.json.encode(list(_fields_of_decisions())).decode()
    assert allowed(admin, "administer")


def _fields_of_decisions() -> list[str]:
    from dashboard.api import shapes

    return list(shapes.DecisionIn.model_fields)
