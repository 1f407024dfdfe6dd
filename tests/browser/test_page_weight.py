"""The first page that somebody opens weighs little: measured by the browser, with nothing in its cache."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.console import seeded
from tests.stack import Stack

pytestmark = pytest.mark.once

MOST_BYTES = 150_000


@pytest.mark.parametrize("path", ["/", "/workflows/"])
def test_a_cold_page_weighs_at_most_150_kb(browser: Browser, signed_in: str, stack: Stack, path: str) -> None:
    seeded(stack)
    context = browser.new_context(storage_state=signed_in, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    protocol = context.new_cdp_session(page)
    addresses: dict[str, str] = {}
    weights: dict[str, int] = {}

    def begun(event: dict[str, Any]) -> None:
        addresses[event["requestId"]] = event["request"]["url"]

    def ended(event: dict[str, Any]) -> None:
        weights[addresses.get(event["requestId"], "?")] = int(event["encodedDataLength"])

    protocol.on("Network.requestWillBeSent", begun)
    protocol.on("Network.loadingFinished", ended)
    protocol.send("Network.enable")
    page.goto(stack.url + path)
    expect(page.locator("#live-state")).to_have_attribute("data-live", "live")
    page.wait_for_load_state("networkidle")
    context.close()
    heaviest = sorted(((size, name) for name, size in weights.items()), reverse=True)
    print(f"\n{path}: {sum(weights.values()) / 1000:.1f} kB", *heaviest, sep="\n  ")
    assert len(weights) > 5
    assert sum(weights.values()) <= MOST_BYTES, heaviest
