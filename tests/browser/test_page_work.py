"""What a live update costs a browser: it styles what is new, and lays a page out once for each picture."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console import seeded
from tests.stack import Stack

pytestmark = pytest.mark.once

ROWS = 60
# The list's own rows again and again, then one update that brings a row before them, as a frame of the socket does.
GROWN = """async (rows) => {
  const body = document.querySelector("#wf-list tbody");
  for (let n = 0; body.children.length < rows; n++) {
    const row = body.children[n].cloneNode(true);
    row.id = `wf-more-${n}`;
    body.append(row);
  }
}"""
UPDATED = """async () => {
  const live = document.getElementById("live");
  const list = document.getElementById("wf-list").cloneNode(true);
  const row = list.querySelector("tbody").firstElementChild.cloneNode(true);
  row.id = "wf-new";
  list.querySelector("tbody").prepend(row);
  const text = `<hx-partial hx-target="#wf-list" hx-swap="innerMorph">${list.innerHTML}</hx-partial>`;
  await htmx.swap({ sourceElement: live, target: live, swap: "none", text, transition: false });
}"""


def traced(browser: Browser, page: Page) -> list[dict[str, Any]]:
    """What the browser records of its own work while the list is updated."""
    session, events, done = browser.new_browser_cdp_session(), list[dict[str, Any]](), list[bool]()
    session.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
    session.on("Tracing.tracingComplete", lambda _: done.append(True))
    config = {"includedCategories": ["devtools.timeline"]}
    session.send("Tracing.start", {"traceConfig": config, "transferMode": "ReportEvents"})
    page.evaluate(UPDATED)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    session.send("Tracing.end")
    for _ in range(500):
        if not done:
            page.wait_for_timeout(20)
    assert done, "the browser's record did not end"
    session.detach()
    return events


def test_a_new_row_is_styled_alone_and_laid_out_once(browser: Browser, page: Page, stack: Stack) -> None:
    seeded(stack)
    page.goto(f"{stack.url}/workflows/")
    expect(page.locator("#live-state")).to_have_attribute("data-live", "live")
    page.evaluate("document.getElementById('live').remove()")  # nothing else comes in between
    page.evaluate(GROWN, ROWS)
    page.wait_for_timeout(300)
    everything = page.evaluate("document.querySelectorAll('#wf-list tbody *').length")
    a_row = page.evaluate("document.querySelectorAll('#wf-list tbody tr:first-child *').length")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<div id=live hidden></div>')")

    events = traced(browser, page)

    expect(page.locator("#wf-new")).to_be_visible()
    styled = sum(event["args"].get("elementCount", 0) for event in events if event["name"] == "UpdateLayoutTree")
    layouts = sum(event["name"] == "Layout" for event in events)
    print(f"{everything} elements in {ROWS} rows, {a_row} in one: {styled} styled, {layouts} times laid out")
    assert a_row <= styled < everything / 3
    assert 1 <= layouts <= 3
