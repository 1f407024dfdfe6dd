"""Failures by cause: three rows for three causes, a canary that spares the rest, and green once it is repaired."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import causes
from tests.browser.causes import Causes
from tests.browser.console import sign_in

FAILURES = 60
EACH = FAILURES // 3
SLOW = 60_000

pytestmark = pytest.mark.timeout(300)  # with a whole stack on a busy machine


@pytest.fixture(scope="module")
def stack() -> Iterator[Causes]:
    with causes.running() as made:
        made.submit("price_parcel", range(FAILURES))
        yield made


@pytest.fixture(scope="module")
def signed_in(stack: Causes, browser: Browser) -> Path:
    return sign_in(stack, browser)


def choose(page: Page, stack: Causes, words: str) -> None:
    page.goto(f"{stack.url}/escalations/")
    page.locator("li.cause", has_text=words).get_by_role("link").click()
    expect(page.locator("#cause-panel")).to_be_visible()


def retry(page: Page, count: int) -> None:
    page.locator("#cause-panel button[value=retry]").click()
    expect(page.locator("h1")).to_have_text(f"Retry: {count} escalations")
    expect(page.locator("main")).to_contain_text(f"{count} steps of price_parcel run again")
    page.locator("#pace").fill("50")
    page.locator("[data-primary]").click()


def test_an_unfixed_cause_takes_one_attempt_and_a_fixed_one_turns_green(
    page: Page, stack: Causes, browser: Browser, signed_in: Path
) -> None:
    page.goto(f"{stack.url}/escalations/")
    rows = page.locator("li.cause")
    expect(rows.locator(".count-plain")).to_have_text([str(EACH)] * 3, timeout=SLOW)

    choose(page, stack, "no tariff")
    expect(page.locator("#cause-panel")).to_contain_text("version 7")
    retry(page, EACH)
    expect(page.locator("#bulk-progress")).to_contain_text("The canary failed again", timeout=SLOW)
    expect(page.locator("#bulk-progress")).to_contain_text(f"{EACH - 1} are untouched")
    page.goto(page.url + "?item=sent")
    expect(page.locator("#bulk-items")).to_contain_text("No item is in this state")

    stack.fixed.write_text("0")
    choose(page, stack, "no tariff")  # stays open beside, and is told what becomes of the cause
    # of the stopped one nothing is under way, so that all of the cause can be taken up again
    other = browser.new_context(storage_state=signed_in).new_page()
    choose(other, stack, "no tariff")
    retry(other, EACH)
    expect(other.locator("#bulk-progress")).to_contain_text("Done", timeout=SLOW)
    expect(other.locator("#bulk-items tbody .tone-done")).to_have_count(EACH)
    expect(page.locator("#cause-panel")).to_contain_text("Nothing of this cause waits any more", timeout=SLOW)
    expect(page.locator("#cause-panel .bulk-count.tone-done, #cause-panel .tone-done").last).to_be_visible()
    expect(page.locator("li.cause")).to_have_count(2)
    other.context.close()


def test_one_result_is_supplied_to_a_whole_cause_and_a_wrong_one_is_refused_before(page: Page, stack: Causes) -> None:
    choose(page, stack, "has no weight")
    page.locator("#cause-panel button[value=supply]").click()
    page.locator("[data-primary]").click()
    expect(page.locator(".field[data-invalid] .error")).to_have_count(1)
    page.get_by_label("Amount").fill("12")
    page.locator("[data-primary]").click()
    expect(page.locator("main")).to_contain_text("No step runs again")
    page.locator("#pace").fill("50")
    page.locator("[data-primary]").click()
    expect(page.locator("#bulk-progress")).to_contain_text(f"{EACH} of {EACH} verified", timeout=SLOW)
    page.goto(f"{stack.url}/ledger/")
    expect(page.locator("#ledger-list")).to_contain_text("Result supplied", timeout=SLOW)
    expect(page.locator(".figure-value").first).to_have_text(str(EACH))


def test_on_a_phone_a_cause_is_one_pane_with_a_way_back(page: Page, stack: Causes) -> None:
    page.set_viewport_size({"width": 375, "height": 740})
    choose(page, stack, "customs service")
    expect(page.locator(".causes")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.get_by_role("link", name=re.compile("All causes")).last.click()
    expect(page.locator("li.cause")).to_have_count(1)


def test_a_cause_is_rerouted_or_restarted_after_a_look_at_what_would_happen(page: Page, stack: Causes) -> None:
    choose(page, stack, "customs service")
    page.locator("#cause-panel button[value=reroute]").click()
    page.locator("[data-primary]").click()
    expect(page.locator(".bulk-form [role=alert]")).to_contain_text("Name an agent")
    page.locator("input[name='value.requires.0.capability']").fill("gpu")
    page.locator("input[name='value.requires.0.value']").fill("yes")
    page.locator("[data-primary]").click()
    expect(page.locator("main")).to_contain_text(f"{EACH} wait until an agent comes that has what is required")
    stack.fixed.write_text("0 1")
    choose(page, stack, "customs service")
    page.locator("#cause-panel button[value=restart]").click()
    page.locator("[data-primary]").click()  # each from its own step
    expect(page.locator("h1")).to_have_text(f"Restart: {EACH} escalations")
    expect(page.locator("main")).to_contain_text(f"{EACH} steps of price_parcel run again")
    expect(page.locator("main")).to_contain_text("what those did outside they may do again")
    page.locator("#pace").fill("50")
    page.locator("[data-primary]").click()
    expect(page.locator("#bulk-progress")).to_contain_text("Done", timeout=SLOW)
    expect(page.locator("#bulk-items tbody .tone-done")).to_have_count(EACH)
