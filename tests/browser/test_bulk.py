"""Everything that matches: workflows ticked or filtered, previewed, drifted, cancelled; retries without any agent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import causes, looks
from tests.browser.causes import Causes
from tests.browser.console import sign_in

MANY = 60  # more than a page holds
SLOW = 60_000

pytestmark = pytest.mark.timeout(300)  # with a whole stack on a busy machine


@pytest.fixture(scope="module")
def stack() -> Iterator[Causes]:
    with causes.running() as made:
        made.submit("wait_for_pickup", range(MANY))
        yield made


@pytest.fixture(scope="module")
def signed_in(stack: Causes, browser: Browser) -> Path:
    return sign_in(stack, browser)


@pytest.mark.long
def test_everything_that_matches_is_cancelled_across_pages_after_a_drift_is_told(page: Page, stack: Causes) -> None:
    page.goto(f"{stack.url}/workflows/?type=wait_for_pickup&state=waiting")
    expect(page.locator(".pager")).to_contain_text(f"{MANY} workflows", timeout=SLOW)
    expect(page.locator("#bulk")).to_be_hidden()
    page.locator("[data-pick]").nth(1).check()
    expect(page.locator("[data-pick-words]")).to_have_text("1 selected")
    page.locator("[data-pick-every]").check()
    expect(page.locator("[data-pick-words]")).to_have_text(f"All {MANY} that match")
    page.locator("#bulk button[value=cancel]").click()
    expect(page.locator("h1")).to_have_text(f"Cancel: {MANY} workflows")
    page.get_by_text("The same over the API").click()
    expect(page.locator("main pre").last).to_contain_text('"action": "cancel"')

    stack.submit("wait_for_pickup", range(MANY, MANY + 1))
    listed = page.context.new_page()
    listed.goto(f"{stack.url}/workflows/?type=wait_for_pickup&state=waiting")
    expect(listed.locator(".pager")).to_contain_text(f"{MANY + 1} workflows", timeout=SLOW)
    page.locator("#pace").fill("50")
    page.locator("[data-primary]").click()
    expect(page.locator(".bulk-form [role=alert]")).to_contain_text(
        f"covered {MANY} items; now it is {MANY + 1}, 1 more"
    )
    expect(page.locator("#pace")).to_have_value("50")
    page.locator("[data-primary]").click()
    expect(page).to_have_url(re.compile(r"/bulk/[0-9a-f-]{36}/"))
    expect(page.locator("#bulk-progress")).to_contain_text(f"{MANY + 1} of {MANY + 1} verified", timeout=SLOW)
    expect(listed.locator("#wf-list")).to_contain_text("Nothing matches", timeout=SLOW)


def test_a_view_is_saved_with_its_columns_for_everybody(page: Page, stack: Causes) -> None:
    page.goto(f"{stack.url}/workflows/?type=wait_for_pickup")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Hide owner").check()
    expect(page).to_have_url(re.compile("hide=owner"))
    page.keyboard.press("Escape")
    page.get_by_text("Views", exact=True).click()
    page.get_by_label("Name of the view").fill("Pickups")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("main")).to_contain_text("saved for everybody")
    page.goto(f"{stack.url}/workflows/")
    page.get_by_text("Views", exact=True).click()
    page.get_by_role("link", name="Pickups").click()
    expect(page).to_have_url(re.compile("type=wait_for_pickup.*hide=owner"))
    expect(page.locator("th", has_text="Owner")).to_have_count(0)


def test_a_retry_without_a_capable_agent_waits_and_never_says_success(page: Page, stack: Causes) -> None:
    stack.submit("price_parcel", range(1))
    page.goto(f"{stack.url}/escalations/")
    expect(page.locator("li.cause")).to_have_count(1, timeout=SLOW)
    stack.fixed.write_text("0")
    stack.drain()
    page.goto(f"{stack.url}/escalations/")
    page.locator("li.cause").get_by_role("link").click()
    page.locator("#cause-panel button[value=retry]").click()
    expect(page.locator("main")).to_contain_text("no capable agent is there now")
    page.locator("[data-primary]").click()
    expect(page.locator("#bulk-items")).to_contain_text("waiting: no capable agent", timeout=SLOW)
    expect(page.locator("#bulk-progress")).to_contain_text("Canary under way")
    page.goto(f"{stack.url}/escalations/")
    expect(page.locator("#esc-list tbody")).to_contain_text("waiting: no capable agent")
    stack.drain(undo=True)
    page.goto(f"{stack.url}/bulk/")
    page.locator("#bulk-all tbody a").first.click()
    expect(page.locator("#bulk-progress")).to_contain_text("Done", timeout=SLOW)
    expect(page.locator("#bulk-items")).to_contain_text("Succeeded")


def test_axe_finds_nothing_serious_in_the_style_guide(browser: Browser, signed_in: Path, stack: Causes) -> None:
    context = browser.new_context(storage_state=signed_in)
    page = context.new_page()
    page.goto(f"{stack.url}/styleguide/")  # only there while developing, as this stack is
    looks.begin(page)
    assert looks.complaints(page, "style guide") == []
    context.close()
