"""The page of one workflow: why it waits, pause and resume, restart from a step, the timeline."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, expect

from tests.stack import Stack

SLOW = 30_000


def submit(page: Page, stack: Stack, kind: str, given: object) -> str:
    headers = {
        "Authorization": f"Bearer {(stack.home / 'cli-token').read_text().strip()}", "Content-Type": "application/json"
    }  # fmt: skip
    answer = page.request.post(
        f"{stack.url}/api/workflows", headers=headers, data=json.dumps({"type": kind, "input": given})
    )
    assert answer.status == 201, answer.text()
    return str(answer.json()["id"])


def test_it_says_why_it_waits_and_is_paused_and_resumed(page: Page, stack: Stack) -> None:
    lonely = submit(page, stack, "bad_agent", {"task": "bad_nobody_does_this"})
    page.goto(f"{stack.url}/workflows/{lonely}/")
    expect(page.locator(".waits")).to_contain_text("no capable agent is registered", timeout=SLOW)
    other = page.context.new_page()
    other.goto(stack.url)
    expect(other.locator(".figure-box", has_text="Tasks waiting")).to_contain_text("the oldest for", timeout=SLOW)
    other.close()
    page.get_by_label("More").last.click()
    page.get_by_role("button", name="Terminate").click()
    page.locator("dialog[open] [data-confirm-yes]").click()
    expect(page.locator("#wf-head .chip").first).to_have_text("Cancelled", timeout=SLOW)
    expect(page.locator(".waits")).to_have_count(0)
    waiting = submit(page, stack, "bad_wait", None)
    page.goto(f"{stack.url}/workflows/{waiting}/")
    expect(page.locator(".waits")).to_contain_text("Waits for the signal go", timeout=SLOW)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Pause it").click()
    expect(page.locator("#wf-head .chip").first).to_have_text("Paused", timeout=SLOW)
    expect(page.locator(".waits")).to_contain_text("Paused by admin")
    page.locator("#signal summary").click()
    page.get_by_label("Name").fill("go")
    page.get_by_label("Payload, JSON").fill('"on"')
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#wf-head .chip").first).to_have_text("Paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#wf-head .chip").first).to_have_text("Completed", timeout=SLOW)
    page.get_by_label("More").last.click()
    page.get_by_role("button", name="Copy as API call").click()
    expect(page.get_by_role("dialog", name="Calls of the API")).to_contain_text(f"/api/workflows/{waiting}/rerun")


def test_a_restart_shows_what_runs_again_before_it_does_so(page: Page, stack: Stack) -> None:
    done = submit(page, stack, "bad_slow", 0.05)
    page.goto(f"{stack.url}/workflows/{done}/")
    expect(page.locator("#wf-head .chip").first).to_have_text("Completed", timeout=SLOW)
    page.goto(f"{stack.url}/workflows/{done}/?tab=journal")
    everything = page.locator("tr[id^=entry-]").count()
    page.locator(".filters").get_by_role("link", name="attempt", exact=True).click()
    expect(page.locator("tr[id^=entry-]")).to_have_count(2)
    assert everything > 2
    page.goto(f"{stack.url}/workflows/{done}/?tab=timeline")
    expect(page.locator(".tl-name")).to_have_count(2)
    page.get_by_label("Zoom in").click()
    expect(page).to_have_url(re.compile("zoom=2"))
    page.locator(".tl-name").last.click()
    expect(page.locator(".step-panel")).to_contain_text("Attempts")
    page.get_by_role("link", name="Restart from here").click()
    expect(page.locator(".lede")).to_contain_text("1 step stays as it is, 1 runs again")
    expect(page.locator("main")).to_contain_text("may be done a second time")
    page.get_by_label("Why").fill("a test")
    page.get_by_role("button", name=re.compile("Restart from step")).click()
    expect(page.locator("#wf-head .chip").first).to_have_text("Completed", timeout=SLOW)
    expect(page.locator("#wf-head")).to_contain_text("restarted_from")
    assert done not in page.url, "it had ended: a new workflow goes on with what is kept"
    expect(page.locator("#wf-head .chip").first).to_have_text("Completed")
    before = page.url
    page.get_by_role("button", name="Run again").click()
    expect(page).not_to_have_url(before)
    expect(page.locator("#wf-head")).to_contain_text("rerun_of", timeout=SLOW)


def test_what_was_confirmed_is_not_sent_as_something_else(page: Page, stack: Stack) -> None:
    """Meanwhile the workflow has ended, and in the place of Pause stands another button."""
    waiting = submit(page, stack, "bad_wait", None)
    page.goto(f"{stack.url}/workflows/{waiting}/")
    expect(page.locator("#live-state")).to_have_attribute("data-live", "live", timeout=SLOW)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Pause it")).to_be_visible()
    headers = {"Authorization": f"Bearer {(stack.home / 'cli-token').read_text().strip()}"}
    headers["Content-Type"] = "application/json"
    sent = page.request.post(f"{stack.url}/api/workflows/{waiting}/terminate", headers=headers, data="{}")
    assert sent.ok, sent.text()
    expect(page.locator("#do-rerun")).to_have_count(1, timeout=SLOW)
    page.get_by_role("button", name="Pause it").click()
    expect(page.locator(".toast", has_text="Not sent")).to_be_visible()
    expect(page).to_have_url(f"{stack.url}/workflows/{waiting}/")


def test_back_within_a_page_keeps_it_live(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/escalations/?claim=mine&state=all")
    expect(page.locator("#live-state")).to_have_attribute("data-live", "live", timeout=SLOW)
    page.locator("select[name=reason]").select_option(index=1)
    expect(page).to_have_url(re.compile("reason="))
    expect(page).to_have_url(re.compile("claim=mine"))
    page.go_back()
    expect(page).not_to_have_url(re.compile("reason="))
    expect(page.locator("#live-state")).to_have_attribute("data-live", "live", timeout=SLOW)
    page.keyboard.press("Control+k")
    expect(page.locator("dialog[open]")).to_have_count(1)
