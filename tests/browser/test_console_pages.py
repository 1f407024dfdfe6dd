"""Every page of the console: it renders, becomes live, keeps the content policy, and can be worked by keyboard."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.console import reviewed, seeded
from tests.stack import Stack

PAGES = {
    "overview": ("/", "Overview"),
    "workflows": ("/workflows/", "Workflows"),
    "escalations": ("/escalations/", "Escalations"),
    "agents": ("/agents/", "Agents"),
    "coordinators": ("/coordinators/", "Coordinators"),
    "runs": ("/runs/", "Runs"),
    "audit": ("/audit/", "Audit"),
    "settings": ("/settings/", "Settings"),
}


def serious(page: Page) -> list[str]:
    """What axe finds serious or critical, in words."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def too_wide(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_renders_and_becomes_live(page: Page, stack: Stack, name: str) -> None:
    path, title = PAGES[name]
    page.goto(stack.url + path)
    expect(page).to_have_title(re.compile(title))
    expect(page.locator("#live-state")).to_have_attribute("data-live", "live")
    expect(page.locator('.rail-link[aria-current="page"]')).to_have_text(re.compile(title))


def test_awkward_things_are_shown_as_text(page: Page, stack: Stack) -> None:
    seeded(stack)
    page.goto(f"{stack.url}/workflows/awkward-script/")
    expect(page.locator("main")).to_contain_text("<script>alert('error')</script>")
    page.goto(f"{stack.url}/workflows/awkward-script/?tab=data")
    expect(page.locator("#wf-input")).to_contain_text("عقد إيجار تجاري")
    page.goto(f"{stack.url}/escalations/?q=script")
    expect(page.locator("tr[data-row]").first).to_contain_text("<script>alert('agent')</script>")
    page.goto(f"{stack.url}/workflows/five-hundred-steps/")
    expect(page.locator("svg.graph a.node-fold")).to_have_count(2)
    page.get_by_role("link", name="Show every step").click()
    expect(page.locator("svg.graph a.node")).to_have_count(500)
    page.locator("svg.graph a.node").nth(499).click()
    expect(page).to_have_url(re.compile("step=401"))
    expect(page.locator(".step-panel")).to_contain_text("401")
    assert too_wide(page) <= 0


def test_what_is_not_there_is_said_in_words(page: Page, stack: Stack) -> None:
    for path, words in (
        ("/workflows/no-such-thing/", "There is no workflow"),
        ("/escalations/no-such-thing/", "There is no escalation"),
        ("/agents/no-such-thing/", "No agent instance"),
        ("/nowhere/", "nothing at this address"),
    ):
        answer = page.goto(stack.url + path)
        assert answer is not None and answer.status == 404
        expect(page.locator("main")).to_contain_text(words)


def test_payloads_are_downloads_that_nothing_keeps(page: Page, stack: Stack) -> None:
    workflow = reviewed(page, stack, "Mutual non-disclosure agreement")
    answer = page.request.get(f"{stack.url}/workflows/{workflow}/input.json")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


def test_the_theme_is_kept(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/settings/")
    page.locator("main").get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto(f"{stack.url}/workflows/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.locator("summary[aria-label='Account and theme']").click()
    page.locator(".topbar").get_by_role("button", name="As the system").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "auto")


def test_the_keyboard_walks_lists_and_opens_the_palette(page: Page, stack: Stack) -> None:
    reviewed(page, stack, "Mutual non-disclosure agreement")
    page.goto(f"{stack.url}/workflows/")
    page.keyboard.press("j")
    expect(page.locator("tr[data-cursor]")).to_have_count(1)
    page.keyboard.press("/")
    expect(page.locator("#wf-search")).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()
    page.keyboard.type("coord")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/coordinators/"))


def test_filters_narrow_the_list_without_loading_the_page(page: Page, stack: Stack) -> None:
    reviewed(page, stack, "Mutual non-disclosure agreement")
    page.goto(f"{stack.url}/workflows/")
    page.evaluate("document.body.dataset.same = 'yes'")
    page.locator("#wf-search").press_sequentially("nothing-like-this-anywhere")
    expect(page.locator("#wf-list")).to_contain_text("Nothing matches")
    expect(page.locator("#wf-search")).to_be_focused()
    expect(page).to_have_url(re.compile("q=nothing-like-this-anywhere"))
    expect(page.locator("body")).to_have_attribute("data-same", "yes")
    page.locator("#wf-search").fill("")
    page.get_by_text("More filters").click()
    page.get_by_label("Age").select_option("24h")
    expect(page.locator(".filters .pill.on", has_text="within the last 24 hours")).to_be_visible()
    expect(page.locator("tr[id^=wf-]").first).to_be_visible()
    page.get_by_label("Type", exact=True).select_option("legal_review")
    page.get_by_label("Version").fill("9")
    page.get_by_label("Version").press("Tab")
    expect(page.locator("#wf-list")).to_contain_text("Nothing matches")
    page.get_by_role("link", name="version 9").click()
    expect(page.locator("tr[id^=wf-]").first).to_be_visible()
