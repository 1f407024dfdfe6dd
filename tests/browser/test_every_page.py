"""Every page, on a phone and on a wide screen, light and dark: axe finds nothing serious, nothing is too wide.

All rules are asked on a light phone, those of colours on a wide dark screen; ``GANGLION_TEST_AXE=all`` asks all rules
in all four combinations.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from dashboard import pages
from tests.browser.console import reviewed, seeded
from tests.stack import Stack

pytestmark = pytest.mark.once

ROW = "tr[data-row] .row-link"
LIVE = {
    "overview": "/",
    "workflows": "/workflows/",
    "workflow": f"first:/workflows/ {ROW}",
    "escalations": "/escalations/",
    "escalation": f"first:/escalations/ {ROW}",
    "approvals": "/approvals/",
    "agents": "/agents/",
    "agent": f"first:/agents/ {ROW}",
    "coordinators": "/coordinators/",
    "lab": "/lab/",
    "runs": "/runs/",
    "notices": "/notices/",
    "audit": "/audit/",
    "bulk": "/bulk/",
    "ledger": "/ledger/",
    "legal_review:start": "/runs/legal-review/",
    "shipments:board": "/runs/shipments/",
}
ELSEWHERE = {"agent-type-test", "bulk-action", "shipments:feed", "shipments:shipment"}  # need something done first
MORE = {
    "timeline": "/workflows/awkward-script/?tab=timeline",
    "journal": "/workflows/awkward-script/?tab=journal",
    "data": "/workflows/awkward-script/?tab=data",
    "cause": "first:/escalations/ .cause .row-link",
    "dry run": "/bulk/new/?on=escalations&all=1&f-state=open&action=retry",
    "performance": "/performance/",
    "settings": "/settings/",
    "profile": "/settings/profile/",
    "not found": "/workflows/no-such-thing/",
}
# axe's other rules do not depend on colours
COLOURS = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
ALL: dict[str, Any] = {"resultTypes": ["violations"]}
LOOKS = [(375, "light", ALL), (1440, "dark", COLOURS), (1440, "light", {}), (375, "dark", {})]
if os.environ.get("GANGLION_TEST_AXE") == "all":
    LOOKS = [(width, scheme, ALL) for width, scheme, _ in LOOKS]


def test_every_page_of_the_console_is_known_here() -> None:
    pages.load()
    assert set(pages._PAGES) - ELSEWHERE - {"legal_review:review"} <= set(LIVE)


def address(page: Page, stack: Stack, wanted: str) -> str:
    if not wanted.startswith("first:"):
        return stack.url + wanted
    path, _, selector = wanted.removeprefix("first:").partition(" ")
    page.goto(stack.url + path)
    href = page.locator(selector).first.get_attribute("href")
    assert href
    return stack.url + (path + href if href.startswith("?") else href)


@pytest.mark.timeout(600)
def test_axe_finds_nothing_serious_anywhere(browser: Browser, signed_in: str, stack: Stack) -> None:
    seeded(stack)
    context = browser.new_context(
        storage_state=signed_in, viewport={"width": 375, "height": 812}, reduced_motion="reduce"
    )  # colours that are on their way are none
    page = context.new_page()
    addresses = {name: address(page, stack, wanted) for name, wanted in {**LIVE, **MORE}.items()}
    workflow = reviewed(page, stack, "Warehouse lease")
    addresses["legal_review:review"] = f"{stack.url}/runs/legal-review/{workflow}/"
    found: list[str] = []
    for name, where in addresses.items():
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 375, "height": 812})
        page.goto(where)
        expect(page.locator("main h1").first).to_be_visible()
        for width, scheme, rules in LOOKS:
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.set_viewport_size({"width": width, "height": 900})
            said = f"{name} {width} {scheme}"
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if wide > 0:
                found.append(f"{said}: {wide} px too wide")
            for one in Axe().run(page, options=rules).response["violations"] if rules else ():
                if one["impact"] in ("serious", "critical"):
                    found += [
                        f"{said}: {one['id']}: {' '.join(node['html'].split())[:160]}" for node in one["nodes"][:4]
                    ]
    context.close()
    assert not found, "\n".join(found)
