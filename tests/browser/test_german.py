"""The console in German: each page says it and fits a phone and a wide screen; so does what a socket pushes.

``GANGLION_TEST_PICTURES=<folder>`` keeps a picture of each page, to be looked at.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import polib
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.console import seeded
from tests.browser.repairs import person
from tests.browser.test_every_page import LIVE, MORE, address
from tests.stack import Stack
from tools import translations

pytestmark = pytest.mark.once

WIDTHS = (375, 1280)
DATA = {"Governing law", "nightly import"}  # words of the catalogue that other tests use as names
PICTURES = os.environ.get("GANGLION_TEST_PICTURES", "")
# what a reader reads or is read, but neither values nor what agents and workflows are called
SEEN = """() => {
  const found = [];
  const skip = "pre, code, kbd, script, style, .mono, .tag, .bidi, .code, option[value]";
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) if (!walk.currentNode.parentElement.closest(skip)) found.push(walk.currentNode.textContent);
  for (const one of document.querySelectorAll("[aria-label], [title], [placeholder]"))
    for (const name of ["aria-label", "title", "placeholder"]) found.push(one.getAttribute(name) || "");
  return found.map((text) => text.trim().replace(/\\s+/g, " ")).filter((text) => text);
}"""


def untold() -> set[str]:
    """English words without places, of several words each, that German says otherwise."""
    catalogue = polib.pofile(str(translations.CATALOGUE))
    return {
        entry.msgid
        for entry in catalogue
        if "%(" not in entry.msgid and " " in entry.msgid and entry.msgstr not in ("", entry.msgid)
    } - DATA


@pytest.fixture
def german(browser: Browser, signed_in: str) -> BrowserContext:
    """A browser that asks for German, of a signed-in administrator."""
    made = browser.new_context(
        storage_state=signed_in, locale="de-DE", viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    made.set_default_timeout(15_000)
    return made


@pytest.mark.timeout(300)
def test_every_page_is_in_german_and_fits(german: BrowserContext, stack: Stack) -> None:
    seeded(stack)
    page = german.new_page()
    english, found = untold(), []
    pages = {**LIVE, **MORE}
    addresses = {name: address(page, stack, where) for name, where in pages.items()}
    for name, where in addresses.items():
        page.goto(where)
        expect(page.locator("html")).to_have_attribute("lang", "de")
        expect(page.locator("main h1").first).to_be_visible()
        found += [f"{name}: {text!r} is English" for text in set(page.evaluate(SEEN)) & english]
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if wide > 0:
                found.append(f"{name}: {wide} px too wide at {width}")
            if PICTURES:
                page.screenshot(path=Path(PICTURES) / f"{name}-{width}.png", full_page=True)
    german.close()
    assert not found, "\n".join(found)


def pause(page: Page, task_type: str, words: tuple[str, str]) -> None:
    row = page.locator(f"#type-{task_type}")
    row.get_by_role("button", name=words[0], exact=True).first.click()
    page.locator("dialog[open]").get_by_role("button", name=words[1], exact=True).click()


def test_a_push_speaks_the_language_of_each_reader(german: BrowserContext, page: Page, stack: Stack) -> None:
    there = german.new_page()
    for one in (there, page):
        one.goto(f"{stack.url}/agents/")
        expect(one.locator("#live-state")).to_have_attribute("data-live", "live")
    expect(there.locator("#live-state")).to_have_text("live")
    other = page.context.new_page()
    other.goto(f"{stack.url}/agents/")
    pause(other, "classify", ("Pause", "Pause it"))
    expect(page.locator("#type-classify .chip").first).to_have_text("Paused")
    expect(there.locator("#type-classify .chip").first).to_have_text("Angehalten")
    pause(other, "classify", ("Resume", "Resume it"))
    expect(page.locator("#type-classify .chip").first).not_to_have_text("Paused")
    expect(there.locator("#type-classify .chip").first).to_have_text(re.compile("Bereit|Arbeitet"))
    german.close()


def test_who_chooses_a_language_keeps_it_and_finds_it_in_another_browser(
    anonymous: Page, page: Page, browser: Browser, stack: Stack
) -> None:
    anonymous.goto(f"{stack.url}/login/")
    expect(anonymous.get_by_role("heading", name="Sign in")).to_be_visible()
    anonymous.get_by_role("button", name="Deutsch").click()
    expect(anonymous.get_by_role("heading", name="Anmelden")).to_be_visible()
    anonymous.get_by_role("button", name="Wie der Browser").click()
    expect(anonymous.get_by_role("heading", name="Sign in")).to_be_visible()
    theirs = person(page, browser, stack, "greta", "viewer")
    there = theirs.new_page()
    there.goto(f"{stack.url}/settings/profile/")
    there.get_by_role("button", name="Deutsch").click()
    expect(there.get_by_role("heading", name="Ihr Profil")).to_be_visible()
    assert there.request.get(f"{stack.url}/api/workflows/no-such-one").json()["message"].startswith("There is")
    theirs.close()
    link = re.search(r"http\S+", stack.manage("make_login_link", "greta", "--base-url", stack.url))
    assert link
    anonymous.goto(link[0])
    anonymous.get_by_role("button", name="Sign in").click()
    expect(anonymous.locator("html")).to_have_attribute("lang", "de")
    anonymous.goto(f"{stack.url}/workflows/")
    expect(anonymous.locator("#live-state")).to_have_text("live")
    expect(anonymous.get_by_role("searchbox").first).to_have_attribute("placeholder", re.compile("Such|such"))
