"""The repair drawer: a wrong field is said at the field, a supplied result reaches the next step, nothing is lost."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.repairs import api, broken, result_of, rules
from tests.browser.test_console_pages import serious, too_wide
from tests.stack import Stack

pytestmark = pytest.mark.once


def test_an_edited_input_is_checked_compared_and_run(page: Page, stack: Stack) -> None:
    rules(page, stack, undo_s=60)
    workflow, escalation = broken(stack, "broken vase")[0]
    page.goto(f"{stack.url}/escalations/{escalation}/?action=edit")
    expect(page.locator("h1")).to_contain_text("broken vase does not fit into any box")
    page.get_by_label("Amount").fill("500")
    page.locator("[data-primary]").click()
    expect(page.locator(".field[data-invalid] .error")).to_contain_text("99")
    page.get_by_label("Item").fill("vase")
    page.get_by_label("Amount").fill("2")
    expect(page.locator("#esc-diff .diff-old", has_text="broken vase")).to_be_visible()
    expect(page.locator("#esc-diff .diff-new", has_text='"vase"')).to_be_visible()
    expect(page.locator("#draft-state")).to_have_text("Draft kept")
    stored = "Object.keys(localStorage).filter((name) => name.startsWith('ganglion.draft.')).length"
    page.route("**/draft/", lambda route: route.abort())
    page.get_by_label("Amount").fill("3")
    expect(page.locator("#draft-state")).to_have_text("Draft kept in this browser")
    assert page.evaluate(stored) == 1
    page.unroute("**/draft/")
    page.get_by_label("Amount").fill("2")
    expect(page.locator("#draft-state")).to_have_text("Draft kept")
    assert page.evaluate(stored) == 0
    page.reload()
    expect(page.get_by_label("Item")).to_have_value("vase")
    page.locator("[data-primary]").click()
    expect(page.locator("#held")).to_contain_text("Edit input and retry")
    page.locator("#undo-bar").get_by_role("button", name="Undo").click()
    expect(page.locator(".notices").first).to_contain_text("Nothing was sent")
    assert api(stack, f"/escalations/{escalation}")["state"] == "open"
    expect(page.get_by_label("Item")).to_have_value("vase")
    page.locator("[data-primary]").click()
    page.locator("#undo-bar").get_by_role("button", name="Send now").click()
    assert result_of(stack, workflow) == "shipped 2 x vase (3 kg)"
    expect(page.locator("#esc-status")).to_contain_text("The step succeeded")
    history = page.locator("#esc-history")
    expect(history).to_contain_text("undid the decision")
    expect(history).to_contain_text("Outcome: succeeded")
    rules(page, stack, undo_s=1)


def test_a_supplied_result_reaches_the_next_step_once(page: Page, stack: Stack) -> None:
    workflow, escalation = broken(stack, "broken mirror")[0]
    page.goto(f"{stack.url}/escalations/{escalation}/?action=supply")
    page.locator("[data-primary]").click()
    expect(page.locator(".field[data-invalid]")).to_have_count(2)
    page.get_by_label("Label").fill("by hand")
    page.get_by_label("Weight kg").fill("7.5")
    page.locator("[data-primary]").dblclick()
    assert result_of(stack, workflow) == "shipped by hand (7.5 kg)"
    expect(page.locator("#esc-history li", has_text="decided:")).to_have_count(1)


def test_what_has_changed_meanwhile_is_said_and_the_draft_kept(
    page: Page, context: BrowserContext, stack: Stack
) -> None:
    _, escalation = broken(stack, "broken lamp")[0]
    late = context.new_page()
    late.goto(f"{stack.url}/escalations/{escalation}/?action=supply")
    late.get_by_label("Label").fill("mine")
    late.get_by_label("Weight kg").fill("1")
    api(stack, f"/escalations/{escalation}/resolve", {"action": "skip", "payload": {"label": "theirs", "weight_kg": 2}})
    late.evaluate("document.querySelector('#repair-form').requestSubmit()")
    expect(late.locator("[role=alert]:visible")).to_contain_text("already resolved by admin")
    expect(late.locator("[role=alert]:visible")).to_contain_text("mine")
    expect(late.locator("#esc-status")).to_contain_text("skipped")


def test_comments_are_text_and_pages_fit(context: BrowserContext, stack: Stack) -> None:
    _, escalation = broken(stack, "broken clock")[0]
    page = context.new_page()  # axe itself sets styles, which the policy refuses
    page.goto(f"{stack.url}/escalations/{escalation}/")
    page.locator("#new-comment").fill("<img src=x onerror=alert(1)> look at the box sizes")
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.locator("#esc-comments")).to_contain_text("<img src=x")
    for action in ("edit", "reroute"):
        page.goto(f"{stack.url}/escalations/{escalation}/?action={action}")
        expect(page.locator(".tab[aria-current]")).to_be_visible()
        assert serious(page) == []
        page.set_viewport_size({"width": 375, "height": 812})
        assert too_wide(page) <= 0
        page.reload()
        expect(page.locator(".tab[aria-current]")).to_be_in_viewport(ratio=0.9)
        page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{stack.url}/approvals/")
    expect(page.locator("main")).to_contain_text("Nothing needs your approval")
    assert serious(page) == []
