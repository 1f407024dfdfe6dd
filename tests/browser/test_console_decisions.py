"""Decisions: with and without JavaScript, wrong fields, two people at once, actions on workflows and agents."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.console import reviewed
from tests.stack import Stack


def asked(page: Page, stack: Stack) -> str:
    """Run the sample that asks for two dates; returns the address of its escalation."""
    workflow = reviewed(page, stack, "Warehouse lease")
    page.goto(f"{stack.url}/workflows/{workflow}/")
    address = page.locator("#wf-head a.button-primary").first.get_attribute("href")
    assert address
    return stack.url + address


def fill_dates(page: Page) -> None:
    for number, date in enumerate(page.locator("#repair input[type=date]").all()):
        date.fill(f"2026-0{number + 3}-01")


def test_a_decision_needs_no_javascript(page: Page, browser: Browser, signed_in: str, stack: Stack) -> None:
    address = asked(page, stack)
    context = browser.new_context(storage_state=signed_in, java_script_enabled=False)
    plain = context.new_page()
    plain.goto(address)
    plain.get_by_role("button", name=re.compile("Claim")).click()
    expect(plain.locator("#esc-status")).to_contain_text("have claimed this")
    plain.locator("[data-primary]").click()
    expect(plain.locator("#repair [role=alert]").first).to_be_visible()
    fill_dates(plain)
    plain.locator("#comment").fill("as in clause 2.1")
    plain.locator("[data-primary]").click()
    expect(plain.locator("#esc-status")).to_contain_text(re.compile("is sent|Submitted"))
    context.close()
    page.goto(address)
    expect(page.locator("#esc-status")).to_contain_text("The step succeeded", timeout=30_000)
    page.goto(f"{stack.url}/audit/?action=escalation.")
    expect(page.locator("#au-list")).to_contain_text("escalation.resolve")


def test_a_field_that_does_not_fit_says_so_and_keeps_the_others(page: Page, stack: Stack) -> None:
    page.goto(asked(page, stack))
    page.locator("#repair input[type=date]").first.fill("2026-03-01")
    page.locator("#comment").fill("kept")
    page.locator("[data-primary]").click()
    expect(page.locator(".field[data-invalid] .error")).to_have_count(1)
    expect(page.locator("#repair input[type=date]").first).to_have_value("2026-03-01")
    expect(page.locator("#comment")).to_have_value("kept")


def test_of_two_answers_one_counts_and_the_other_is_kept(page: Page, context: BrowserContext, stack: Stack) -> None:
    address = asked(page, stack)
    second = context.new_page()
    for one in (page, second):
        one.goto(address)
        fill_dates(one)
    second.locator("#comment").fill("mine")
    page.locator("[data-primary]").click()
    expect(page.locator("#esc-status")).to_contain_text("Accepted")
    second.evaluate("document.querySelector('#repair [data-primary]').click()")
    expect(second.locator("main")).to_contain_text("already", timeout=10_000)


def test_a_workflow_is_cancelled_after_a_question(page: Page, stack: Stack) -> None:
    workflow = reviewed(page, stack, "Warehouse lease")
    page.goto(f"{stack.url}/workflows/{workflow}/")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#confirm")).to_contain_text("Cancel this workflow?")
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator("#wf-head .chip").first).to_have_text(re.compile("Cancelled|Failed"), timeout=30_000)


def test_a_task_type_is_paused_and_goes_on(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/agents/")
    row = page.locator("#type-summarize")
    row.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Pause it").click()
    expect(page.locator("#type-summarize")).to_contain_text("Paused")
    page.locator("#type-summarize").get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Resume it").click()
    expect(page.locator("#type-summarize")).not_to_contain_text("Paused")


def test_an_agent_is_tried_out(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/agents/")
    page.locator("#type-parse_update").get_by_role("link", name="Test").click()
    expect(page.locator("main h1")).to_have_text("Test parse_update")
    page.locator("[data-primary]").click()
    expect(page.locator("main")).to_contain_text("another look")
    page.get_by_label("Feed").fill("by-hand")
    page.get_by_label("Line").fill("1")
    page.get_by_label("Row").fill("NORDEX;NX4982070000;PICKED_UP;2026-11-04T09:30:00+01:00;SESTO;12.4")
    page.locator("[data-primary]").click()
    expect(page.locator("#tc-outcome .chip")).to_have_text("Succeeded", timeout=30_000)
    expect(page.locator("#tc-outcome")).to_contain_text("shipments")


def test_a_remote_agent_that_may_not_be_called_is_refused_in_words(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/agents/")
    page.locator("#register summary").click()
    page.locator("#r-name").fill("inside")
    page.locator("#r-url").fill("http://169.254.169.254/latest/")
    page.locator("#r-types").fill("peek")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.locator("#register [role=alert]")).to_be_visible()
    expect(page.locator("#r-name")).to_have_value("inside")
