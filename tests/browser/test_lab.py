"""Something is killed on purpose, by hand of a person in the browser; the work goes on, and the pages show it live."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.stack import Stack, live_members

pytestmark = pytest.mark.timeout(150)


def kill(page: Page, stack: Stack, what: str) -> None:
    """Start an experiment and wait until it is over."""
    page.goto(f"{stack.url}/lab/")
    page.locator(".lab-button").get_by_role("button", name=what).click()
    page.locator("#confirm [data-confirm-yes]").click()
    now = page.locator("#lab-now")
    expect(now.locator(".chip")).to_have_text("Under way")
    expect(now.locator(".chip")).to_have_text("Done", timeout=70_000)
    expect(now).to_contain_text("40 of 40 completed")
    expect(now.locator(".lab-sentence")).to_contain_text("Nothing was lost, and no finished step ran again.")


def test_a_killed_host_is_taken_over_live_and_no_finished_step_runs_again(
    page: Page, context: BrowserContext, stack: Stack
) -> None:
    watcher = context.new_page()
    watcher.goto(f"{stack.url}/coordinators/")
    expect(watcher.locator("#live-state")).to_have_attribute("data-live", "live")
    lost = watcher.locator("#co-log li", has_text="Lost, taken over")
    before = lost.count()

    kill(page, stack, "Kill a coordinator host")
    assert page.locator("#lab-now .lab-dot.tone-takeover").count() > 0
    expect(page.locator("#lab-beside")).to_contain_text("Workflows lost")

    expect(lost).to_have_count(before + 1)  # the page was not loaded again
    takeover = lost.first
    expect(takeover).to_contain_text(re.compile(r"Silent for .* noticed\..* took \d+ workflows? up"))
    takeover.locator("summary").click()
    rows = takeover.locator("tbody tr", has_text="lab_review")  # the host held those of other tests, too
    assert rows.count() > 0
    for row in rows.all():
        expect(row.locator("td").nth(1)).to_have_text("Completed")
        assert int(row.locator("td").nth(2).inner_text()) >= 2
    rows.first.locator("a").click()
    expect(watcher.locator("#wf-head")).to_contain_text("Completed")
    assert not [line for line in live_members(stack.groups) if "dashboard.lab" in line]


def test_the_killed_server_comes_back_with_everything(page: Page, stack: Stack) -> None:
    kill(page, stack, "Kill the Redis server")
    expect(page.locator("#lab-now")).to_contain_text(
        re.compile(r"The server answered again after .* had gone on after")
    )
