"""Live pages under load: fifty open sockets and two hundred changes a second end with what the database holds."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect

from bench.audience import PAGES, Reader
from tests import servers
from tests.stack import ROOT, wait_until
from tests.web_process import WebProcess

pytestmark = pytest.mark.once

SECONDS = os.environ.get("GANGLION_TEST_LOAD_S", "4")
SOCKETS = 50
LATENCIES = """() => {
  window.delays = [];
  let last = 0;
  new MutationObserver(() => {
    const marks = document.getElementById("wf-list").textContent.matchAll(/mark (\\d+)/g);
    const newest = Math.max(0, ...[...marks].map((found) => +found[1]));
    if (newest > last) { last = newest; window.delays.push(Date.now() - newest); }
  }).observe(document.getElementById("wf-list"), { childList: true, subtree: true, characterData: true });
}"""
SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) window.shifts.push({
      value: one.value,
      what: one.sources.map(({ node }) => (node?.outerHTML ?? node?.parentElement?.outerHTML ?? "gone").slice(0, 120)),
    });
  }).observe({ type: "layout-shift" });
}"""


@pytest.fixture(scope="module")
def web() -> Iterator[WebProcess]:
    with servers.folder() as folder, servers.redis_server() as redis:
        made = WebProcess(folder, REDIS_URL=redis.url).start(pages=True)
        made.token()
        change(made, "--seconds", "0.3", "--open", "8").communicate()
        yield made
        made.stop()


@pytest.fixture(scope="module")
def signed(web: WebProcess, browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    found = re.search(r"http\S+", web.manage("make_login_link", "admin", "--base-url", web.url))
    assert found
    page.goto(found.group(0))
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#main")).to_be_visible()
    page.close()
    yield context
    context.close()


def change(web: WebProcess, *arguments: str) -> subprocess.Popen[str]:
    """The program that changes the history, running."""
    command = [sys.executable, "-m", "tests.browser.changes", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=web.environ, stdout=subprocess.PIPE, text=True)


def opened(context: BrowserContext, web: WebProcess, path: str) -> Page:
    page = context.new_page()
    page.goto(web.url + path)
    expect(page.locator("#live-state")).to_have_attribute("data-live", re.compile("live|stale"))  # it has no relay
    return page


def cpu_s(web: WebProcess) -> float:
    assert web.process is not None
    fields = Path(f"/proc/{web.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def in_database(web: WebProcess, table: str, order: str, most: int) -> list[str]:
    with closing(sqlite3.connect(web.home / "ganglion.sqlite3")) as history:
        return [row[0] for row in history.execute(f"SELECT id FROM {table} ORDER BY {order} LIMIT ?", (most,))]


def rendered(web: WebProcess, cookie: str, path: str, name: str) -> str:
    """What the database gives now for a live part of a page."""
    headers = {"Cookie": cookie, "HX-Request": "true", "HX-Target": f"div#{name}"}
    return requests.get(web.url + path, headers=headers, timeout=10).text


async def with_readers(web: WebProcess, cookie: str, paths: list[str]) -> list[Reader]:
    """Open the sockets, change things, and wait until every socket shows what the database holds."""
    readers = [Reader(path) for path in paths]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.read(web.url, cookie), name=reader.path) for reader in readers]
        async with asyncio.timeout(20):
            while not all(reader.shown for reader in readers):
                await asyncio.sleep(0.05)
        changes = change(web, "--seconds", SECONDS, "--new", "12", "--open", "8")
        said = await asyncio.to_thread(lambda: changes.communicate()[0])
        print(f"\n{said.strip()} changes")
        for path, name in PAGES.items():
            async with asyncio.timeout(15):
                while True:
                    wanted = (await asyncio.to_thread(rendered, web, cookie, path, name)).strip()
                    if all(reader.shown[name].strip() == wanted for reader in readers if reader.path == path):
                        break
                    await asyncio.sleep(0.2)
        assert not any(task.done() for task in tasks), "a socket has died"
        for task in tasks:
            task.cancel()
    return readers


@pytest.mark.long
def test_nothing_moves_while_values_change(web: WebProcess, signed: BrowserContext) -> None:
    pages = {path: opened(signed, web, path) for path in ("/", "/workflows/", "/escalations/")}
    for page in pages.values():
        page.wait_for_load_state("networkidle")
        page.evaluate(SHIFTS)
    changes = change(web, "--seconds", "3")
    for page in pages.values():  # a page is only laid out while it is in front
        page.bring_to_front()
        page.wait_for_timeout(1_100)
    changes.communicate()
    found = {path: page.evaluate("window.shifts") for path, page in pages.items()}
    assert not any(found.values()), json.dumps(found, indent=1)


def test_new_rows_wait_while_somebody_points_at_the_list(web: WebProcess, signed: BrowserContext) -> None:
    page = opened(signed, web, "/workflows/")
    rows, pill = page.locator("tr[id^=wf-]"), page.locator(".new-rows")
    rows.nth(2).hover()
    first, third = rows.first.get_attribute("id"), rows.nth(2).get_attribute("id")
    assert first and third
    page.evaluate(SHIFTS)
    change(web, "--seconds", "0", "--new", "3").communicate()
    expect(pill).to_have_text("3 new")
    change(web, "--seconds", "0.5").communicate()  # what is there goes on changing under the hand
    assert rows.first.get_attribute("id") == first
    assert page.evaluate("window.shifts") == []
    pill.click()
    expect(rows.nth(5)).to_have_attribute("id", third)
    expect(pill).to_be_hidden()

    page.locator("main h1").hover()
    change(web, "--seconds", "0", "--new", "1").communicate()
    expect(rows.nth(6)).to_have_attribute("id", third)  # nobody is there: they come at once
    page.set_viewport_size({"width": 1280, "height": 300})
    page.mouse.wheel(0, 500)
    page.wait_for_function("scrollY > 300")
    change(web, "--seconds", "0", "--new", "2").communicate()
    expect(pill).to_have_text("2 new")
    page.evaluate("scrollTo(0, 0)")
    expect(rows.nth(8)).to_have_attribute("id", third)  # by itself, once it is in nobody's way
    page.close()


@pytest.mark.long
def test_fifty_sockets_under_two_hundred_changes_a_second(web: WebProcess, signed: BrowserContext) -> None:
    page = opened(signed, web, "/workflows/")
    page.evaluate(LATENCIES)
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in signed.cookies())
    before = cpu_s(web)
    paths = [list(PAGES)[number % len(PAGES)] for number in range(SOCKETS - 1)]
    with ThreadPoolExecutor(1) as aside:  # the browser's driver has the loop of this thread
        readers = aside.submit(lambda: asyncio.run(with_readers(web, cookie, paths))).result()
    used = cpu_s(web) - before
    assert not any(reader.gaps for reader in readers)
    rows = page.locator("tr[id^=wf-]")
    wait_until(
        lambda: (
            bool(rows.count())
            and rows.evaluate_all("rows => rows.map(row => row.id.slice(3))")
            == in_database(web, "dashboard_workflow", "created_at DESC, id DESC", rows.count())
        ),
        10,
    )
    delays: list[float] = page.evaluate("window.delays")
    assert delays, "the page has shown none of the changes"
    frames = sum(reader.frames for reader in readers)
    print(
        f"{SOCKETS} sockets, {frames} frames, web CPU {used:.1f} s in {SECONDS} s of changes;"
        f" from the event to the page p50 {percentile(delays, 0.5):.0f} ms,"
        f" p95 {percentile(delays, 0.95):.0f} ms of {len(delays)} looks"
    )
    page.close()
