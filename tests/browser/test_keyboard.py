"""Ten escalations cleared without a mouse, and the palette; the path is kept as pictures."""

from __future__ import annotations

import contextlib
import re
from urllib.error import HTTPError

import pytest
from playwright.sync_api import Page, expect

from tests.browser.repairs import api, broken, let_claims_expire, result_of, rules
from tests.stack import ROOT, Stack, wait_until

pytestmark = pytest.mark.once
PICTURES = ROOT / "build" / "screenshots" / "keyboard"


def waiting(stack: Stack) -> int:
    return int(api(stack, "/escalations?task=repair_pack")["total"])


def nothing_is_left(stack: Stack) -> bool:
    """Fail what other tests left; what was about to be sent and then taken back is found the next time."""
    for left in api(stack, "/escalations?limit=500")["items"]:
        with contextlib.suppress(HTTPError):  # those that are about to be sent stand in nobody's way
            api(stack, f"/escalations/{left['id']}/resolve", {"action": "fail"})
    return waiting(stack) == 0


def test_ten_items_are_cleared_by_keyboard_alone(page: Page, stack: Stack) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    let_claims_expire(stack)
    wait_until(lambda: nothing_is_left(stack), 60)  # else the list still shows some that have just been failed
    rules(page, stack, undo_s=8)
    orders = broken(stack, *(f"broken cup {number}" for number in range(10)))
    keys = page.keyboard
    page.goto(f"{stack.url}/escalations/?task=repair_pack")
    expect(page.locator("[data-row]").first).to_be_visible()

    def picture(number: int) -> None:
        page.screenshot(path=PICTURES / f"{number:02d}.png")

    picture(0)
    opened: set[str] = set()
    for number in range(10):
        if number == 0:
            for _ in range(20):  # past the rows that group what follows
                keys.press("j")
                current = page.locator("[data-row][data-cursor]")
                if "/escalations/w" in (current.get_attribute("data-href") or ""):
                    break
            keys.press("Enter")
        page.wait_for_url(re.compile(r"/escalations/[^/?]+/"))
        expect(page.locator("#live-state")).to_have_attribute("data-live", "live")
        shown = page.locator("#repair").get_attribute("data-escalation") or ""
        assert shown not in opened, "the same one twice"
        opened.add(shown)
        keys.press("c")
        expect(page.locator("#claim[data-mine=yes]")).to_be_visible()
        keys.press("s")
        expect(page.get_by_label("Label")).to_be_focused()
        keys.type(f"cup {number}")
        keys.press("Tab")
        keys.type("0.5")
        picture(number + 1)
        keys.press("Control+Enter")
        expect(page.locator(f"#repair[data-escalation='{shown}']:not(:has(#draft-note))")).to_have_count(0)
        if number == 4:  # undo the fifth, and do it again
            expect(page.locator("#undo-bar")).to_be_visible()
            expect(page.locator("#live-state")).to_have_attribute("data-live", "live")
            keys.press("u")
            expect(page.locator(".notices").first).to_contain_text("Nothing was sent")
            keys.press("Control+Enter")
            expect(page.locator(f"#repair[data-escalation='{shown}']")).to_have_count(0)
    for workflow, _ in orders:
        assert str(result_of(stack, workflow)).startswith("shipped cup ")
    wait_until(lambda: waiting(stack) == 0, 20)
    page.goto(f"{stack.url}/escalations/")
    picture(11)
    rules(page, stack, undo_s=1)


def test_the_palette_and_the_help(page: Page, stack: Stack) -> None:
    workflow = str(api(stack, "/workflows", {"type": "repair_order", "input": {"item": "bowl"}})["id"])
    page.goto(f"{stack.url}/workflows/{workflow}/")
    expect(page.locator("main h1")).to_be_visible()
    page.goto(f"{stack.url}/agents/")
    page.keyboard.press("?")
    expect(page.locator("#key-help")).to_contain_text("undo the last decision")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type(workflow[:12])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(workflow))
    page.keyboard.press("Control+k")
    page.keyboard.type("approv")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/approvals/"))
