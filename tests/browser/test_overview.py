"""The overview's charts: drawn with a cursor by script, by the server without, and as a table for all."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console import seeded
from tests.stack import Stack

pytestmark = pytest.mark.once


@pytest.fixture(scope="module", autouse=True)
def _measures(stack: Stack) -> None:
    seeded(stack)


def test_charts_tell_values_by_mouse_and_by_keyboard(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/?range=3h")
    plots = page.locator("[data-course] .uplot canvas")
    expect(plots).to_have_count(4)
    chart = page.locator('[data-course="latency"]')
    words = page.locator("section.panel", has=chart).locator(".panel-head .meta")
    chart.hover()
    expect(words).to_have_text(re.compile(r"\d.*: median .*, 95th percentile "))
    chart.focus()
    page.keyboard.press("End")
    last = chart.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowLeft")
    expect(chart).not_to_have_attribute("aria-valuetext", last or "")
    expect(words).to_have_text(chart.get_attribute("aria-valuetext") or "?")
    page.get_by_role("link", name="24 h").click()
    expect(page).to_have_url(re.compile("range=24h"))
    expect(plots).to_have_count(4)
    page.get_by_text("The course as a table").click()
    expect(page.locator("#ov-table tbody tr")).to_have_count(12)


def test_times_are_those_of_the_readers_zone(browser: Browser, signed_in: str, stack: Stack) -> None:
    context = browser.new_context(storage_state=signed_in, timezone_id="Asia/Tokyo", locale="en-GB")
    page = context.new_page()
    page.goto(stack.url)
    chart = page.locator('[data-course="throughput"]')
    expect(chart.locator("canvas")).to_be_visible()
    hour = page.evaluate("new Date().toLocaleString('en-GB', {hour: '2-digit', timeZone: 'Asia/Tokyo'})")
    before = page.evaluate(
        "new Date(Date.now() - 6e5).toLocaleString('en-GB', {hour: '2-digit', timeZone: 'Asia/Tokyo'})"
    )
    expect(chart).to_have_attribute("aria-valuetext", re.compile(rf", ({hour}|{before}):\d\d:\d\d: "))
    page.goto(f"{stack.url}/audit/")
    moment = page.locator("tbody time").first
    expect(moment).to_have_text(re.compile("ago|now"))
    there, in_utc = (
        moment.evaluate(
            "(one, zone) => new Date(one.dateTime).toLocaleTimeString('en-GB', {hour12: false, timeZone: zone})", zone
        )
        for zone in ("Asia/Tokyo", "UTC")
    )
    expect(moment).to_have_attribute("title", re.compile(there))
    assert there != in_utc
    context.close()


def test_without_script_the_servers_drawings_stay(browser: Browser, signed_in: str, stack: Stack) -> None:
    context = browser.new_context(storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{stack.url}/?range=3h")
    expect(page.locator("[data-course] svg.course")).to_have_count(4)
    context.close()
