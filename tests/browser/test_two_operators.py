"""Two people at one escalation: one claim wins, presence shows, a late submit is refused, the other one approves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.repairs import api, broken, let_claims_expire, person, result_of, rules
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def second(browser: Browser, signed_in: str, stack: Stack) -> Iterator[BrowserContext]:
    """The browser of a colleague who may approve."""
    admin = browser.new_context(storage_state=signed_in)
    theirs = person(admin.new_page(), browser, stack, "otto", "approver")
    admin.close()
    yield theirs
    theirs.close()


def test_of_two_claims_one_wins_and_a_late_submit_is_refused(page: Page, second: BrowserContext, stack: Stack) -> None:
    _, escalation = broken(stack, "broken chair")[0]
    address = f"{stack.url}/escalations/{escalation}/?action=edit"
    other = second.new_page()
    for one in (page, other):
        one.goto(address)
        expect(one.locator("#live-state")).to_have_attribute("data-live", "live")
    expect(page.locator("#esc-people")).to_contain_text("otto is looking")
    expect(other.locator("#esc-people")).to_contain_text("admin is looking")
    for one in (page, other):  # both at once: neither page knows of the other's claim yet
        one.evaluate("setTimeout(() => document.querySelector('[data-key=c]').click(), 300)")
    expect(page.locator("#claim")).to_be_visible()
    expect(other.locator("#claim")).to_be_visible()
    holder = page if page.locator("#claim").get_attribute("data-mine") else other
    loser = other if holder is page else page
    name = "admin" if holder is page else "otto"
    expect(loser.locator("#claim")).to_contain_text(f"{name} has claimed this")
    expect(holder.locator("#claim")).to_contain_text("You have claimed this")

    holder.get_by_label("Item").fill("chair")
    expect(loser.locator("#esc-people")).to_contain_text(f"{name} is editing")
    let_claims_expire(stack)
    loser.locator("#esc-status").get_by_role("button", name="Claim").click(timeout=20_000)
    expect(loser.locator("#claim")).to_contain_text("You have claimed this")
    holder.locator("[data-primary]").click()
    expect(holder.locator("[role=alert]:visible")).to_contain_text(
        "has claimed this escalation. Your decision was not taken"
    )
    expect(holder.get_by_label("Item")).to_have_value("chair")
    holder.goto(address)
    expect(holder.get_by_label("Item")).to_have_value("chair")
    expect(holder.locator("#draft-note")).to_be_visible()
    assert api(stack, f"/escalations/{escalation}")["state"] == "open"
    other.close()


def test_the_other_one_approves(page: Page, second: BrowserContext, stack: Stack) -> None:
    rules(page, stack, undo_s=1, four_eyes=("supply",))
    try:
        workflow, escalation = broken(stack, "broken table")[0]
        page.goto(f"{stack.url}/escalations/{escalation}/?action=supply")
        expect(page.locator("#repair")).to_contain_text("needs approval by somebody else")
        approver = second.new_page()
        approver.goto(f"{stack.url}/audit/")
        badge = ".rail > a [data-approvals]"
        before = int(approver.locator(badge).get_attribute("data-n") or 0)  # of tests before this one
        page.get_by_label("Label").fill("by hand")
        page.get_by_label("Weight kg").fill("2")
        page.locator("[data-primary]").click()
        expect(page.locator("#needs-approval")).to_contain_text("You asked for this")
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)
        expect(approver.locator(badge)).to_have_text(f"{before + 1} wait for your approval")  # without a reload
        told = re.compile(r"Needs approval: Supply the result|\d+ new notices")  # more than two are told as one
        expect(approver.locator(".toast", has_text=told).first).to_be_visible(timeout=20_000)
        listed = second.new_page()
        listed.goto(f"{stack.url}/notices/")
        expect(listed.locator("main")).to_contain_text("Needs approval: Supply the result")
        expect(page.locator(badge)).not_to_have_attribute("data-n", str(before + 1))  # it is one's own
        expect(page.locator(".toast", has_text="Needs approval")).to_have_count(0)
        approver.goto(f"{stack.url}/approvals/")
        row = approver.locator("li", has_text="broken table")
        row.locator("summary").click()
        expect(row.locator(".diff-new").nth(1)).to_contain_text("by hand")
        row.get_by_role("button", name="Approve").click()
        expect(approver.locator(".notices").first).to_contain_text("Approved")
        expect(approver.locator(badge)).to_have_attribute("data-n", str(before))
        assert result_of(stack, workflow) == "shipped by hand (2 kg)"
        expect(page.locator("#esc-status")).to_contain_text("The step succeeded")
        expect(page.locator("#esc-history")).to_contain_text("otto approved it")
    finally:
        rules(page, stack, undo_s=1)


def test_of_two_who_act_on_many_the_later_one_is_told(page: Page, second: BrowserContext, stack: Stack) -> None:
    (_, escalation), *_ = broken(stack, "broken jug", "broken pan", "broken bowl")
    address = f"{stack.url}/bulk/new/?on=escalations&all=1&f-state=open&f-task=repair_pack&action=retry"
    other = second.new_page()
    other.goto(address)
    previewed = re.search(r"Retry: (\d+) escalations", other.locator("h1").inner_text())
    assert previewed
    count = int(previewed[1])
    page.goto(f"{stack.url}/escalations/{escalation}/?action=skip")
    page.locator("[data-primary]").click()
    wait_until(lambda: api(stack, f"/escalations/{escalation}")["state"] != "open", 20)
    other.locator("input[name=canary]").uncheck()
    other.locator("#pace").fill("0.1")
    other.locator("[data-primary]").click()
    expect(other.locator(".bulk-form [role=alert]")).to_contain_text(
        f"covered {count} items; now it is {count - 1}, 1 fewer"
    )
    other.locator("[data-primary]").click()
    expect(other).to_have_url(re.compile(r"/bulk/[0-9a-f-]{36}/"))
    page.goto(address)
    expect(page.locator("main")).to_contain_text("another bulk action is working on it")
    page.goto(other.url)
    expect(page.locator("#live-state")).to_have_attribute("data-live", "live")
    other.get_by_role("button", name=re.compile("^Cancel")).first.click()
    other.locator("dialog[open] [data-confirm-yes]").click()
    expect(page.locator("#bulk-progress")).to_contain_text("Cancelled")
    other.close()
