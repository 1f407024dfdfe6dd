"""Login links, the brake on guessing, roles, and tokens."""

from __future__ import annotations

import datetime as dt
import os
import stat

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.management import CommandError, call_command
from django.test import RequestFactory
from django.utils import timezone

from coordination.config import Config
from coordination.errors import BadRequest
from dashboard import accounts, tokens
from dashboard.models import LoginFailure, LoginLink
from dashboard.roles import allowed, ensure_groups, everybodys_roles, role_of

pytestmark = pytest.mark.django_db


def test_roles_grow() -> None:
    ensure_groups()
    verbs = ("view", "operate", "administer")
    rights = {}
    for role in ("viewer", "operator", "admin"):
        user = accounts.create_user(f"the-{role}", role, "tests")
        user = User.objects.get(pk=user.pk)
        rights[role] = [allowed(user, verb) for verb in verbs]
        assert role_of(user) == role
    assert rights == {"viewer": [True, False, False], "operator": [True, True, False], "admin": [True, True, True]}
    nobody = User.objects.create(username="nobody")
    assert not any(allowed(someone, verb) for verb in verbs for someone in (None, AnonymousUser(), nobody))
    User.objects.filter(username="the-viewer").update(is_active=False)
    held = everybodys_roles()
    assert {user: held.get(user.pk, "") for user in User.objects.all()} == {u: role_of(u) for u in User.objects.all()}


def test_a_link_works_once_and_only_in_time() -> None:
    user = accounts.ensure_admin()
    raw = accounts.make_login_link(user, "http://localhost:8000/").rstrip("/").rpartition("/")[2]
    assert raw not in str(LoginLink.objects.values_list())
    assert accounts.check_login_link(raw)
    assert accounts.use_login_link(raw) == user
    assert accounts.use_login_link(raw) is None
    late = accounts.make_login_link(user).rstrip("/").rpartition("/")[2]
    LoginLink.objects.filter(used_at=None).update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    assert accounts.use_login_link(late) is None
    assert accounts.use_login_link("nonsense") is None


def test_guessing_is_slowed_down_for_the_name_and_for_the_address() -> None:
    User.objects.create_user("ann", password="correct horse battery")
    request = RequestFactory().post("/login/")
    for _ in range(accounts.NAME_FAILURES):
        assert accounts.log_in(request, "ann", "wrong") is None
    with pytest.raises(accounts.LoginRefused, match="Try again in 15 min") as refused:
        accounts.log_in(request, "ann", "correct horse battery")
    assert refused.value.retry_after_s > 800
    LoginFailure.objects.update(at=timezone.now() - accounts.WINDOW)
    assert accounts.log_in(request, "ann", "correct horse battery") is not None
    LoginFailure.objects.bulk_create([LoginFailure(key="address:127.0.0.1") for _ in range(accounts.ADDRESS_FAILURES)])
    with pytest.raises(accounts.LoginRefused):
        accounts.log_in(request, "bob", "wrong")


def test_the_last_administrator_stays() -> None:
    admin = accounts.ensure_admin()
    assert accounts.ensure_admin().pk == admin.pk
    assert not admin.has_usable_password()
    with pytest.raises(BadRequest, match="last administrator"):
        accounts.set_role(admin, "viewer", admin)
    with pytest.raises(BadRequest, match="last administrator"):
        accounts.set_active(admin, False, admin)
    second = accounts.create_user("second", "admin", admin)
    accounts.set_role(admin, "operator", second)
    assert role_of(User.objects.get(pk=admin.pk)) == "operator"


@pytest.mark.parametrize(("name", "role"), [("", "viewer"), ("x", "king"), ("admin", "viewer")])
def test_people_that_cannot_be_added(name: str, role: str) -> None:
    admin = accounts.ensure_admin()
    with pytest.raises(BadRequest):
        accounts.create_user(name, role, admin)


def test_a_tokens_text_is_kept_nowhere() -> None:
    admin = accounts.ensure_admin()
    token, raw = tokens.create(admin, "ci", "operate", expires_in_days=1)
    assert raw.startswith(f"gang_{token.prefix}_")
    assert raw.removeprefix(f"gang_{token.prefix}_") not in str(vars(token))
    found = tokens.authenticate(raw)
    assert found is not None
    assert [tokens.permits(found, verb) for verb in ("view", "operate", "administer")] == [True, True, False]
    token.refresh_from_db()
    assert token.last_used_at is not None
    for wrong in (raw[:-1], raw + "x", "gang_x", "", "gang_00000000_" + "x" * 43):
        assert tokens.authenticate(wrong) is None
    assert tokens.revoke(token, admin) and not tokens.revoke(token, admin)
    assert tokens.authenticate(raw) is None


def test_a_scope_never_goes_beyond_the_role() -> None:
    admin = accounts.ensure_admin()
    viewer = accounts.create_user("v", "viewer", admin)
    with pytest.raises(BadRequest, match="beyond the role"):
        tokens.create(User.objects.get(pk=viewer.pk), "x", "operate")
    with pytest.raises(BadRequest, match="no scope"):
        tokens.create(admin, "x", "root")
    with pytest.raises(BadRequest, match="name"):
        tokens.create(admin, " ", "read")


def test_the_command_lines_token_is_private_and_kept(config: Config) -> None:
    call_command("ensure_admin")
    path = tokens.cli_token_path()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    before = path.read_text()
    call_command("ensure_admin")
    assert path.read_text() == before
    found = tokens.authenticate(before)
    assert found is not None
    tokens.revoke(found, "tests")
    call_command("ensure_admin")
    assert tokens.authenticate(path.read_text()) is not None


def test_a_link_from_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="nobody with the name"):
        call_command("make_login_link", "nobody")
    accounts.ensure_admin()
    call_command("make_login_link", "--base-url", "https://example.org")
    link = capsys.readouterr().out.strip()
    assert link.startswith("https://example.org/login/once/")
    assert accounts.use_login_link(link.rstrip("/").rpartition("/")[2]) is not None
