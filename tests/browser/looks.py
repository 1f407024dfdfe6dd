"""A page as it is looked at: on a phone and on a wide screen, light and dark, by axe and for its width.

All rules are asked on a light phone, those of colours on a wide dark screen; ``GANGLION_TEST_AXE=all`` asks all rules
in all four combinations.
"""

from __future__ import annotations

import os
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

# axe's other rules do not depend on colours
COLOURS = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
ALL: dict[str, Any] = {"resultTypes": ["violations"]}
LOOKS = [(375, "light", ALL), (1440, "dark", COLOURS), (1440, "light", {}), (375, "dark", {})]
if os.environ.get("GANGLION_TEST_AXE") == "all":
    LOOKS = [(width, scheme, ALL) for width, scheme, _ in LOOKS]
SERIOUS = ("serious", "critical")


def begin(page: Page) -> None:
    """Look as the first of the looks does."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")  # colours that are on their way are none
    page.set_viewport_size({"width": 375, "height": 812})


def complaints(page: Page, name: str) -> list[str]:
    """What is serious about the page that is open now, or too wide."""
    found: list[str] = []
    expect(page.locator("main :is(h1, h2):visible").first).to_be_visible()
    for width, scheme, rules in LOOKS:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 900})
        said = f"{name} {width} {scheme}"
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            found.append(f"{said}: {wide} px too wide")
        for one in Axe().run(page, options=rules).response["violations"] if rules else ():
            if one["impact"] in SERIOUS:
                found += [f"{said}: {one['id']}: {' '.join(node['html'].split())[:160]}" for node in one["nodes"][:4]]
    begin(page)
    return found
