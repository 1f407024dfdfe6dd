"""Second factors at the door and on the profile; sessions that are ended from afar."""

from __future__ import annotations

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from coordination.config import Config
from dashboard import accounts
from dashboard.models import AuditEntry
from dashboard.people import factors
from dashboard.people.models import SignIn

pytestmark = [pytest.mark.django_db, pytest.mark.once]

PASSWORD = "correct horse battery"


def person(name: str = "ann", role: str = "operator") -> User:
    accounts.ensure_admin()
    made = accounts.create_user(name, role, "tests")
    made.set_password(PASSWORD)
    made.save()
    return made


def sign_in(browser: Client, name: str = "ann") -> str:
    return browser.post("/login/", {"username": name, "password": PASSWORD}).headers["Location"]


def code_of(secret: str, steps: int = 0) -> str:
    return totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30 + steps))


def with_app(browser: Client) -> tuple[str, list[str]]:
    shown = browser.post("/settings/profile/app/").content.decode()
    secret = re.search(r'id="app-secret">([A-Z2-7]+)<', shown)
    assert secret is not None
    assert "data:image/svg+xml;base64," in shown
    assert "does not fit" in browser.post("/settings/profile/app/", {"code": "000000"}).content.decode()
    done = browser.post("/settings/profile/app/", {"code": code_of(secret[1])}).content.decode()
    codes = re.search(r'id="recovery-codes">([\d\s]+)<', done)
    assert codes is not None
    return secret[1], codes[1].split()


def test_an_app_is_asked_for_after_the_password_and_after_a_link(config: Config) -> None:
    user, browser = person(), Client()
    assert sign_in(browser) == "/"
    secret, codes = with_app(browser)
    stored = Authenticator.objects.get(user=user, type="totp").data["secret"]
    assert secret not in stored, "the secret is kept encrypted"
    door = Client()
    assert sign_in(door) == "/login/second/"
    assert door.get("/workflows/").status_code == 302, "nobody is in yet"
    assert door.post("/login/second/", {"code": "123456"}).status_code == 401
    cache.clear()
    fitting = code_of(secret)
    assert door.post("/login/second/", {"code": fitting}).headers["Location"] == "/"
    assert door.get("/workflows/").status_code == 200
    again = Client()
    sign_in(again)
    assert again.post("/login/second/", {"code": fitting}).status_code == 401, "a code works once"
    assert again.post("/login/second/", {"code": codes[0]}).status_code == 302
    once = Client()
    sign_in(once)
    assert once.post("/login/second/", {"code": codes[0]}).status_code == 401, "a recovery code works once"
    linked = Client()
    link = accounts.make_login_link(user)
    assert linked.post(link).headers["Location"] == "/login/second/"
    assert AuditEntry.objects.filter(action="user.factor_add").count() == 1
    assert AuditEntry.objects.filter(action="login.second_factor").count() == 2


def test_guessing_codes_is_slowed_down(config: Config) -> None:
    person()
    browser = Client()
    sign_in(browser)
    with_app(browser)
    door = Client()
    sign_in(door)
    for _ in range(accounts.NAME_FAILURES):
        assert door.post("/login/second/", {"code": "111111"}).status_code == 401
    assert door.post("/login/second/", {"code": "111111"}).status_code == 429


def test_the_second_step_alone_lets_nobody_in(config: Config) -> None:
    assert Client().post("/login/second/", {"code": "111111"}).headers["Location"] == "/login/"


def test_who_lost_everything_is_let_in_by_an_administrator(config: Config) -> None:
    user, browser, admin = person(), Client(), Client()
    sign_in(browser)
    with_app(browser)
    person("root", "admin")
    sign_in(admin, "root")
    assert browser.post(f"/settings/people/{user.pk}/factors/").status_code == 403
    assert "Reset factor" in admin.get("/settings/").content.decode()
    admin.post(f"/settings/people/{user.pk}/factors/")
    assert not factors.needed(user)
    assert sign_in(Client()) == "/"
    with_app(browser)
    call_command("remove_factors", "ann")
    assert not factors.needed(user)


def test_a_session_is_ended_from_afar(config: Config) -> None:
    user, here, there, stranger = person(), Client(), Client(), Client()
    sign_in(here)
    there.post(
        "/login/", {"username": "ann", "password": PASSWORD},
        headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"},
    )  # fmt: skip
    person("eve")
    sign_in(stranger, "eve")
    page = here.get("/settings/profile/").content.decode()
    assert "Chrome on Linux" in page
    other = SignIn.objects.get(user=user, browser="Chrome on Linux")
    assert stranger.post(f"/settings/profile/sessions/{other.pk}/").status_code == 404
    here.post(f"/settings/profile/sessions/{other.pk}/")
    assert there.get("/workflows/").status_code == 302
    assert here.get("/workflows/").status_code == 200


def test_passkeys_are_offered_under_a_name_only(config: Config) -> None:
    person()
    browser = Client()
    sign_in(browser)
    assert "Add a passkey" in browser.get("/settings/profile/", headers={"host": "localhost:8000"}).content.decode()
    assert "for names only" in browser.get("/settings/profile/", headers={"host": "127.0.0.1:8000"}).content.decode()
