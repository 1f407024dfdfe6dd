"""A real Chromium against the whole of Ganglion as ``bin/up`` starts it, in an empty home."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests import chromium, servers

ROOT = Path(__file__).resolve().parent.parent.parent
START_S = 300.0
LINK = re.compile(r"Log in once with: (\S+)")


@dataclasses.dataclass
class Stack:
    """A running Ganglion."""

    url: str
    home: Path
    login_link: str
    process: subprocess.Popen[bytes]
    log: Path
    state: dict[str, object] = dataclasses.field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        """The environment of a command that talks to it."""
        return environment(self.home)

    def manage(self, *arguments: str) -> str:
        """Run a management command beside it."""
        command = [str(ROOT / ".venv/bin/python"), "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environ(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def environment(home: Path) -> dict[str, str]:
    """This program's environment without what names other servers."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GANGLION_") and k != "DJANGO_SETTINGS_MODULE"}
    for name in ("REDIS_URL", "DATABASE_URL", "PYTHONPATH"):
        kept.pop(name, None)
    return {**kept, "GANGLION_HOME": str(home)}


def group_members(session: set[int]) -> list[str]:
    """The command lines of live processes that belong to the given sessions."""
    answer = subprocess.run(["ps", "-eo", "pid=,sess=,stat=,args="], capture_output=True, text=True, check=True)
    rows = (line.split(None, 3) for line in answer.stdout.splitlines())
    return [" ".join(row) for row in rows if int(row[1]) in session and not row[2].startswith("Z")]


def children_of(pid: int) -> set[int]:
    """The direct children of a process; the supervisor gives each a session of its own."""
    answer = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    rows = (line.split() for line in answer.stdout.splitlines())
    return {int(row[0]) for row in rows if int(row[1]) == pid}


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Ganglion started by ``bin/up``; at the end it must stop in order and leave no process behind."""
    with servers.folder() as folder:
        home, log, port = folder / "home", folder / "log", servers.spare_port()
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [str(ROOT / "bin/up"), "--port", str(port), "--home", str(home)],
                stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment(home), cwd=folder,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not (found := LINK.search(log.read_text(errors="replace"))):
            assert process.poll() is None, f"bin/up ended:\n{log.read_text(errors='replace')[-3000:]}"
            if time.monotonic() > deadline:
                process.send_signal(signal.SIGTERM)
                pytest.fail(f"bin/up was not ready in time:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)
        running = Stack(f"http://127.0.0.1:{port}", home, found.group(1), process, log)
        sessions = children_of(process.pid)
        yield running
        process.send_signal(signal.SIGTERM)
        code = process.wait(90)
        text = log.read_text(errors="replace")
        assert code == 0, text[-3000:]
        assert not group_members(sessions), text[-3000:]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole run."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def signed_in(stack: Stack, browser: Browser) -> Path:
    """The cookies of somebody who used the printed login link."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(stack.login_link)
    if page.locator("form button[type=submit]").count() and "/login/" in page.url:
        page.locator("form button[type=submit]").first.click()
    expect(page).to_have_url(re.compile(re.escape(stack.url) + "/(?!login)"))
    path = stack.home / "browser-state.json"
    context.storage_state(path=path)
    context.close()
    return path


@pytest.fixture
def context(browser: Browser, signed_in: Path) -> Iterator[BrowserContext]:
    """A fresh browser context of a signed-in administrator."""
    made = browser.new_context(storage_state=signed_in, viewport={"width": 1280, "height": 900})
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which no script error and no breach of the content policy may happen."""
    made = context.new_page()
    complaints: list[str] = []
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.on(
        "console",
        lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield made
    assert not complaints, complaints


@pytest.fixture
def anonymous(browser: Browser) -> Iterator[Page]:
    """A page of somebody who is not signed in."""
    made = browser.new_context()
    yield made.new_page()
    made.close()
