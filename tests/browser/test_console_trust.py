"""Pages never lie about their age: what stands behind them is frozen or killed, they say so, and then catch up."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

from playwright.sync_api import BrowserContext, Page, expect

from tests.stack import Stack, children_of, wait_until

CUT_S = float(os.environ.get("GANGLION_TEST_CUT_S", "3"))  # 20 by hand
WORDS = {"needs_human": "Needs a human"}


def process(stack: Stack, words: str) -> int:
    """The process of the stack whose command line holds some words."""
    assert stack.process is not None
    pids = ",".join(map(str, children_of(stack.process.pid)))
    rows = subprocess.run(["ps", "-ww", "-o", "pid=,args=", "-p", pids], capture_output=True, text=True, check=True)
    found = [int(row.split(None, 1)[0]) for row in rows.stdout.splitlines() if words in row]
    assert len(found) == 1, rows.stdout
    return found[0]


def submitted(page: Page, stack: Stack) -> str:
    """Run a legal sample without waiting for it; returns the workflow's id."""
    page.goto(f"{stack.url}/runs/legal-review/")
    page.locator("li, article, .line, form, section.sample", has_text="Mutual non-disclosure").last.get_by_role(
        "button", name="Run"
    ).click()
    expect(page).to_have_url(re.compile(r"/runs/legal-review/[^/]+/$"))
    return page.url.rstrip("/").rpartition("/")[2]


def shown(page: Page) -> list[tuple[str, str]]:
    rows = page.locator("tr[id^=wf-]")
    found: list[list[str]] = rows.evaluate_all(
        "rows => rows.map(row => [row.id.slice(3), row.querySelector('.chip').textContent.trim()])"
    )
    return [(name, state) for name, state in found]


def stored(stack: Stack, most: int) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(stack.home / "ganglion.sqlite3")) as history:
        rows = history.execute(
            "SELECT id, state FROM dashboard_workflow ORDER BY created_at DESC, id DESC LIMIT ?", (most,)
        ).fetchall()
    return [(name, WORDS.get(state, state.capitalize())) for name, state in rows]


def equals_the_database(page: Page, stack: Stack) -> None:
    wait_until(lambda: bool(rows := shown(page)) and rows == stored(stack, len(rows)), 15)


def test_a_frozen_relay_is_said_within_seconds_and_then_caught_up(
    page: Page, context: BrowserContext, stack: Stack
) -> None:
    page.goto(f"{stack.url}/workflows/")
    banner, state = page.locator("[data-late]"), page.locator("#live-state")
    expect(state).to_have_attribute("data-live", "live")
    expect(banner).to_be_hidden()
    relay = process(stack, "run_relay")
    os.kill(relay, signal.SIGSTOP)
    try:
        expect(banner).to_be_visible(timeout=15_000)
        expect(banner).to_contain_text(re.compile(r"Data \d+ s old"))
        expect(state).to_have_attribute("data-live", "stale")
        other = context.new_page()
        workflow = submitted(other, stack)
        other.goto(f"{stack.url}/workflows/")  # a page that is opened now says so too, without a socket
        expect(other.locator("[data-late]")).to_be_visible()
    finally:
        os.kill(relay, signal.SIGCONT)
    expect(banner).to_be_hidden(timeout=15_000)
    expect(page.locator(f"#wf-{workflow}")).to_contain_text("Completed", timeout=30_000)
    equals_the_database(page, stack)


def test_a_page_whose_socket_is_cut_catches_up_when_web_is_back(
    page: Page, context: BrowserContext, stack: Stack
) -> None:
    page.goto(f"{stack.url}/workflows/")
    banner, state = page.locator("[data-late]"), page.locator("#live-state")
    expect(state).to_have_attribute("data-live", "live")
    other = context.new_page()
    workflow = submitted(other, stack)
    context.set_offline(True)
    os.kill(process(stack, "config.web"), signal.SIGKILL)
    began = time.monotonic()
    # a browser that is offline may hear nothing of the socket's end; then it says how old its data is
    expect(state).to_have_attribute("data-live", re.compile("reconnecting|stale"), timeout=10_000)
    expect(banner).to_contain_text(re.compile(r"Data \d+ s old.*lost its connection"))
    wait_until(lambda: time.monotonic() - began > CUT_S, CUT_S + 5)
    context.set_offline(False)
    expect(state).to_have_attribute("data-live", "live", timeout=30_000)
    expect(banner).to_be_hidden()
    expect(page.locator(f"#wf-{workflow}")).to_contain_text("Completed", timeout=30_000)
    equals_the_database(page, stack)
