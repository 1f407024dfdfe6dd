"""Live pages: what changes shows up, what a person types stays, and a lost connection is said and caught up."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests import servers
from tests.browser.console import reviewed
from tests.chaos.proxy import Proxy
from tests.stack import Stack


def open_escalation(page: Page, stack: Stack) -> str:
    """The page of a fresh escalation; returns its address."""
    workflow = reviewed(page, stack, "Warehouse lease")
    page.goto(f"{stack.url}/workflows/{workflow}/")
    page.get_by_role("link", name="Decide").first.click()
    expect(page.locator("#repair")).to_be_visible()
    return page.url


def test_typed_text_and_focus_survive_what_others_do(page: Page, context: BrowserContext, stack: Stack) -> None:
    address = open_escalation(page, stack)
    expect(page.locator("#live-state")).to_have_attribute("data-live", "live")
    field = page.locator("#comment")
    field.press_sequentially("half a sent")

    other = context.new_page()
    other.goto(address)
    other.get_by_role("button", name=re.compile("Claim")).click()
    expect(page.locator("#esc-status")).to_contain_text("claimed this", timeout=5_000)

    expect(field).to_be_focused()
    expect(field).to_have_value("half a sent")
    page.keyboard.type("ence")
    expect(field).to_have_value("half a sentence")


def test_claiming_keeps_what_was_typed(page: Page, stack: Stack) -> None:
    open_escalation(page, stack)
    page.locator("#comment").fill("not lost")
    page.get_by_role("button", name=re.compile("Claim")).click()
    expect(page.locator("#esc-status")).to_contain_text("claimed this")
    expect(page.locator("#comment")).to_have_value("not lost")
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("button", name=re.compile("Claim"))).to_be_visible()


def test_an_answer_is_seen_by_others_at_once(page: Page, context: BrowserContext, stack: Stack) -> None:
    address = open_escalation(page, stack)
    watcher = context.new_page()
    watcher.goto(f"{stack.url}/escalations/")
    count = watcher.locator(".rail [data-count]")
    expect(count).not_to_have_attribute("data-n", "0")
    before = int(count.get_attribute("data-n") or 0)
    expect(watcher).to_have_title(re.compile(rf"^\({before}\) "))
    expect(watcher.locator("link[rel=icon]")).to_have_attribute("href", re.compile("mark-alert"))
    for number, date in enumerate(page.locator("#repair input[type=date]").all()):
        date.fill(f"2026-0{number + 3}-01")
    page.locator("#repair [data-primary]").click()
    expect(page.locator("#esc-status")).to_contain_text("Accepted")
    expect(count).to_have_attribute("data-n", str(before - 1), timeout=10_000)
    expect(watcher).to_have_title(re.compile(rf"^\({before - 1}\) " if before > 1 else "^Esc"))
    assert page.url.split("?")[0] == address.split("?")[0]
    expect(page.locator("#esc-status")).to_contain_text("The step succeeded", timeout=30_000)


@pytest.fixture
def proxy(stack: Stack) -> Iterator[Proxy]:
    """A network between the browser and the console that can fall silent."""
    with servers.folder() as folder:
        running = Proxy(folder / "p.sock", stack.port)
        running.start()
        yield running
        running.stop()


def opened(page: Page, proxy: Proxy) -> Locator:
    """The list of workflows through the proxy; returns what says whether it is live."""
    page.goto(f"http://127.0.0.1:{proxy.port}/workflows/")
    state = page.locator("#live-state")
    expect(state).to_have_attribute("data-live", "live")
    return state


def test_a_lost_connection_is_said_and_caught_up(
    page: Page, context: BrowserContext, stack: Stack, proxy: Proxy
) -> None:
    state = opened(page, proxy)
    proxy.away = True
    proxy.cut()
    expect(state).to_have_attribute("data-live", "reconnecting", timeout=10_000)
    other = context.new_page()
    workflow = reviewed(other, stack, "Mutual non-disclosure agreement")
    proxy.away = False
    expect(state).to_have_attribute("data-live", "live", timeout=15_000)
    expect(page.locator(f"#wf-{workflow}")).to_contain_text("Completed", timeout=15_000)


def test_a_connection_that_carries_nothing_any_more_is_replaced(page: Page, proxy: Proxy) -> None:
    state = opened(page, proxy)
    page.evaluate("former = document.getElementById('live')._htmx.ws.connection.socket")
    proxy.half_open(random.Random(1), share=1.0)
    expect(state).to_have_attribute("data-live", "stale", timeout=10_000)
    with page.expect_websocket(timeout=15_000):
        pass
    assert page.evaluate("former.readyState !== WebSocket.CLOSED"), "the former connection ended by itself"
    expect(state).to_have_attribute("data-live", "live", timeout=15_000)


def test_a_connection_that_is_not_answered_is_tried_again(page: Page, proxy: Proxy) -> None:
    state = opened(page, proxy)
    proxy.silent = True  # new connections are taken, and nothing is carried
    proxy.cut()
    expect(state).to_have_attribute("data-live", "reconnecting", timeout=5_000)
    with page.expect_websocket(timeout=5_000):
        pass
    with page.expect_websocket(timeout=25_000):
        pass
    proxy.silent = False
    expect(state).to_have_attribute("data-live", "live", timeout=15_000)


def test_an_open_fold_stays_open_while_the_page_changes(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/coordinators/")
    fold = page.locator("details.fold").first
    fold.locator("summary").click()
    expect(fold).to_have_attribute("open", "")
    sign = page.locator(".host-card dd").first
    seen = sign.inner_text()
    expect(sign).not_to_have_text(seen, timeout=15_000)  # the page has changed by itself
    expect(fold).to_have_attribute("open", "")


def test_signing_out_elsewhere_ends_live_pages(page: Page, context: BrowserContext, stack: Stack) -> None:
    link = stack.manage("make_login_link", "admin", "--base-url", stack.url)
    found = re.search(r"http\S+", link)
    assert found, link
    mine = context.browser.new_context() if context.browser else context
    one, two = mine.new_page(), mine.new_page()
    one.goto(found.group(0))
    one.get_by_role("button", name="Sign in").click()
    two.goto(f"{stack.url}/workflows/")
    expect(two.locator("#live-state")).to_have_attribute("data-live", "live")
    one.evaluate("localStorage.setItem('ganglion.draft.x', 'typed')")
    one.locator("summary[aria-label='Account and theme']").click()
    one.get_by_role("button", name="Sign out").click()
    expect(two).to_have_url(re.compile("/login/"), timeout=20_000)
    assert one.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('ganglion.'))") == []
    mine.close()
