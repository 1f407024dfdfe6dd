"""A real Chromium against the whole of Ganglion as ``bin/up`` starts it, in an empty home."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests import chromium, servers
from tests.browser.repairs import rules
from tests.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Ganglion started by ``bin/up``; at the end it must stop in order and leave no process behind."""
    with servers.folder() as folder:
        running = Stack(
            folder,
            servers.spare_port(),
            GANGLION_EXTRA_APPS="tests.repair_app,tests.bad_app",
            GANGLION_FROZEN_AFTER_S="4",
        )
        running.start()
        yield running
        code = running.end(signal.SIGTERM)
        assert code == 0, running.log[-3000:]
        assert not running.left(), running.log[-3000:]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole run."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def signed_in(stack: Stack, browser: Browser) -> Path:
    """The cookies of somebody who used the printed login link; decisions can be undone for a second only."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(stack.login_link)
    page.get_by_role(
        "button", name="Sign in"
    ).click()  # a link alone changes nothing, so that previews do not use it up
    expect(page).to_have_url(re.compile(re.escape(stack.url) + "/(?!login)"))
    rules(page, stack, undo_s=1)
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
