"""The lab refuses: where it is off, who may not, what is not its own, and a second experiment at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config.up import options, supervisor
from coordination.config import Config
from dashboard import accounts
from dashboard.lab import victims
from dashboard.lab.models import LabRun
from dashboard.models import AuditEntry
from tests.stack import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def admin(config: Config, transactional_db: None) -> User:
    return accounts.ensure_admin()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def browser_of(user: User) -> Client:
    browser = Client(raise_request_exception=False)
    browser.force_login(user)
    return browser


def test_only_administrators_reach_it(admin: User) -> None:
    operator = browser_of(accounts.create_user("olga", "operator", admin))
    assert operator.get("/lab/").status_code == 403
    assert operator.post("/lab/start/", {"kind": "host"}).status_code == 403
    assert b'href="/lab/"' not in operator.get("/").content
    page = browser_of(admin).get("/lab/")
    assert page.status_code == 200 and b'aria-current="page"' in page.content
    assert not LabRun.objects.exists() and not AuditEntry.objects.filter(action="lab.kill").exists()


def test_there_is_none_where_it_is_off() -> None:
    program = """
import django
django.setup()
from django.urls import Resolver404, resolve
from coordination import catalog
catalog.discover()
assert "legal_review" in catalog.workflow_types() and "lab_review" not in catalog.workflow_types()
try:
    resolve("/lab/")
except Resolver404:
    print("not found")
"""
    environ = {**os.environ, "GANGLION_LAB": "0", "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.stdout == "not found\n", done.stderr


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"GANGLION_PUBLIC_URL": "http://127.0.0.1:8000"}, "1"),
        ({"GANGLION_PUBLIC_URL": "http://127.0.0.1:8000", "GANGLION_LAB": "0"}, "0"),
        ({"GANGLION_PUBLIC_URL": "https://ganglion.example.com", "GANGLION_LAB": "1"}, "0"),
    ],
)
def test_the_supervisor_turns_it_on_for_this_machine_alone(given: dict[str, str], wanted: str) -> None:
    assert supervisor.environment(options.read([]), dict(given))["GANGLION_LAB"] == wanted


def test_one_at_a_time_and_what_a_dead_web_process_left_is_closed(admin: User) -> None:
    browser = browser_of(admin)
    running = LabRun.objects.create(kind="host", actor="admin", web_pid=os.getpid())
    assert "One at a time" in browser.post("/lab/start/", {"kind": "host"}, follow=True).content.decode()
    assert LabRun.objects.count() == 1 and not AuditEntry.objects.filter(action="lab.kill").exists()
    LabRun.objects.filter(pk=running.pk).update(web_pid=1)
    assert "The web process ended" in browser.get("/lab/").content.decode()
    running.refresh_from_db()
    assert running.state == "failed"
    assert "no such experiment" in browser.post("/lab/start/", {"kind": "relay"}, follow=True).content.decode()


def test_a_foreign_process_is_not_killed(sleeper: subprocess.Popen[bytes]) -> None:
    for pid in (sleeper.pid, os.getpid(), os.getppid(), 1, 0, -1):
        with pytest.raises(victims.Refused):
            victims.kill(pid, victims.sibling)
    for pid in (os.getpid(), os.getppid(), 1):
        with pytest.raises(victims.Refused):
            victims.kill(pid, victims.child)
    assert sleeper.poll() is None


def test_a_sibling_and_a_child_are_killed(sleeper: subprocess.Popen[bytes]) -> None:
    program = f"from dashboard.lab import victims; victims.kill({sleeper.pid}, victims.sibling)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    assert sleeper.wait(10) == -signal.SIGKILL
    own = subprocess.Popen(["sleep", "60"])
    victims.kill(own.pid, victims.child)
    assert own.wait(10) == -signal.SIGKILL


@pytest.mark.timeout(100)
def test_a_killed_central_brain_loses_what_it_knew() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.crash", "--count", "3"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert figures["interrupted"] == figures["lost"] == 3 and figures["thrown"] >= 3
    assert all(row["lost"] for row in figures["rows"])
