"""A workflow on paper: a report in black on white, without what only works on a screen."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import Page, expect

from tests.browser.console import seeded
from tests.stack import Stack

pytestmark = pytest.mark.once

PAPER_PX = 1031  # A4 landscape within 12 mm margins


def test_a_workflow_prints_as_a_report(page: Page, stack: Stack) -> None:
    seeded(stack)
    page.goto(f"{stack.url}/workflows/")
    page.locator("tr[data-row]", has_text="Completed").locator(".row-link").first.click()
    expect(page.locator("#wf-head h1")).to_be_visible()
    page.goto(page.url.partition("?")[0] + "?tab=timeline")
    page.set_viewport_size({"width": PAPER_PX, "height": 720})
    page.emulate_media(media="print", color_scheme="dark")
    for name in (".rail", ".topbar", ".tabs", ".page-actions"):
        expect(page.locator(name).first).to_be_hidden()
    assert page.locator("button:not(.id):visible, .button:visible").count() == 0
    colours = "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    assert page.evaluate(colours) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    expect(page.locator("#wf-head h1")).to_be_visible()
    whole = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth, getComputedStyle(e).overflow]"
    assert page.locator("#tl-scroll").evaluate(whole) == [0, 0, "visible"]
    inside = "e => e.getBoundingClientRect().right <= innerWidth"
    assert page.locator("#tl-scroll svg.timeline").evaluate(inside)
    for zoom in (8, 1):  # eight screens wide, and one with collapsed times
        page.goto(f"{stack.url}/workflows/five-hundred-steps/?tab=timeline&zoom={zoom}")
        assert page.locator("#tl-scroll").evaluate(whole) == [0, 0, "visible"]
        assert page.locator("#tl-scroll svg.timeline").evaluate(inside)
        tops = page.locator(".tl-name").evaluate_all("all => all.map(e => e.getBoundingClientRect().top)")
        lanes = page.locator("svg.timeline .lane-bg").evaluate_all("all => all.map(e => e.getBoundingClientRect().top)")
        assert len(lanes) == len(tops) > 4
        assert max(abs(lane - top) for lane, top in zip(lanes, tops, strict=True)) < 3
        ends = page.locator(".tl-axis-svg text.axis:visible:not(.axis-break)").evaluate_all(
            "all => all.map(e => { const box = e.getBoundingClientRect(); return [box.left, box.right]; })"
        )
        assert all(right <= left for (_, right), (left, _) in itertools.pairwise(ends)), "the words stand apart"
