"""A contract from upload to report through the browser alone, against the whole of Ganglion in an empty home."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from examples.legal_review.samples import BY_SLUG, TEXTS
from tests.stack import Stack

SLOW = 60_000  # the first task starts an agent's process and loads its libraries


def start(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/runs/legal-review/")
    expect(page.get_by_role("heading", name="Legal review", level=1)).to_be_visible()


def upload(page: Page, stack: Stack, file: Path) -> None:
    start(page, stack)
    page.get_by_label("Contract", exact=True).set_input_files(file)
    page.get_by_role("button", name="Start the review").click()


def run_sample(page: Page, stack: Stack, slug: str) -> None:
    start(page, stack)
    page.get_by_role("button", name=f"Run the sample {BY_SLUG[slug].title}").click()


def answer(page: Page) -> None:
    """Follow the report's link to the question."""
    page.get_by_role("link", name="Answer").click(timeout=SLOW)
    expect(page.locator("#repair")).to_be_visible()


def sent(page: Page) -> None:
    page.locator("[data-primary]").click()
    expect(page.locator("#esc-status")).to_contain_text("The step succeeded", timeout=30_000)


def report(page: Page) -> None:
    """The finished report is on the page, without a reload."""
    expect(page.get_by_role("link", name="Download JSON")).to_be_visible(timeout=SLOW)


def panel(page: Page, name: str):
    return page.locator("section.panel", has=page.get_by_role("heading", name=name, exact=True))


def test_upload_watch_answer_and_read_the_report(page: Page, stack: Stack) -> None:
    upload(page, stack, BY_SLUG["services-agreement"].path)
    expect(page).to_have_url(re.compile("/runs/legal-review/[^/]{12,}/$"))
    address = page.url

    # live, while it runs: the stages, then what the agents found, then the question
    expect(page.get_by_role("list", name="Progress")).to_contain_text("Read the document")
    expect(page.get_by_role("status").filter(has_text="Who is the Client?")).to_be_visible(timeout=SLOW)
    expect(panel(page, "Issues")).to_contain_text("The words say 10,000, the figures 12,000.")
    expect(panel(page, "Parties")).to_contain_text("not named")

    # the workflow's page knows the same
    page.get_by_role("link", name="Workflow", exact=True).click()
    expect(page.locator("body")).to_contain_text("Needs a human")
    page.go_back()

    # a second reader keeps the report open while the first answers
    reader = page.context.new_page()
    reader.goto(address)
    expect(reader.get_by_role("link", name="Answer")).to_be_visible()

    answer(page)
    expect(page.locator("#repair")).to_contain_text("Who is the Client?")
    expect(page.locator("body")).to_contain_text("1180 Harbor Street")
    page.locator("[data-primary]").click()
    expect(page.locator(".field[data-invalid] .error")).to_have_count(1)  # the name is required
    page.get_by_label("Full name of the party").fill("Quay House Trust")
    page.get_by_label("How do you know?").fill("It signed the covering letter.")
    sent(page)

    expect(page.get_by_role("link", name="Report", exact=True)).to_have_attribute(
        "href", re.compile("/runs/legal-review/")
    )

    report(reader)
    expect(reader.get_by_role("heading", level=1)).to_contain_text("Services Agreement for Facility Cleaning")
    said = panel(reader, "Supplied by people")
    for words in ("Client", "Quay House Trust", "It signed the covering letter.", "admin"):
        expect(said).to_contain_text(words)
    expect(panel(reader, "Parties")).to_contain_text("Quay House Trust")
    expect(panel(reader, "Summary")).to_contain_text("Quay House Trust (Client)")
    expect(panel(reader, "Issues")).to_contain_text("Answered by a person. Client: Quay House Trust")

    with reader.expect_download() as download:
        reader.get_by_role("link", name="Download JSON").click()
    body = json.loads(Path(download.value.path()).read_text())
    assert body["supplied"][0]["by"] == "admin"
    assert body["facts"]["parties"][1] == {**body["facts"]["parties"][1], "name": "Quay House Trust", "role": "Client"}
    with reader.expect_download() as download:
        reader.get_by_role("link", name="Document", exact=True).click()
    assert Path(download.value.path()).read_bytes() == BY_SLUG["services-agreement"].path.read_bytes()

    start(reader, stack)
    expect(panel(reader, "Reviews")).to_contain_text("Services Agreement for Facility")
    reader.close()


def test_contradicting_dates_on_a_phone(browser: Browser, signed_in: Path, stack: Stack) -> None:
    context = browser.new_context(storage_state=signed_in, viewport={"width": 375, "height": 800})
    page = context.new_page()
    run_sample(page, stack, "warehouse-lease")
    answer(page)
    page.get_by_label("The agreement begins on").fill("2026-03-01")
    page.get_by_label("The agreement ends on").fill("2031-02-28")
    sent(page)
    page.get_by_role("link", name="Report", exact=True).click()
    report(page)
    expect(panel(page, "Key dates")).to_contain_text("28 Feb 2031")
    expect(panel(page, "Supplied by people")).to_contain_text("2026-03-01 to 2031-02-28")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    context.close()


def test_a_scan_is_typed_by_a_person(page: Page, stack: Stack) -> None:
    run_sample(page, stack, "scanned-lease")
    address = page.url
    expect(page.get_by_role("status").filter(has_text="probably a scan")).to_be_visible(timeout=SLOW)
    answer(page)
    page.get_by_label("Text", exact=True).fill((TEXTS / "scanned-lease.txt").read_text())
    sent(page)
    page.goto(address)
    report(page)
    expect(panel(page, "Parties")).to_contain_text("Rosalind Pike")
    expect(panel(page, "Supplied by people")).to_contain_text("Words of the document")
    expect(panel(page, "Supplied by people")).to_contain_text("admin")


def test_an_encrypted_sample_reaches_a_person(page: Page, stack: Stack) -> None:
    run_sample(page, stack, "encrypted-purchase")
    expect(page.get_by_role("status").filter(has_text="encrypted with a password")).to_be_visible(timeout=SLOW)


@pytest.mark.parametrize(
    ("slug", "words"),
    [("encrypted-purchase", "encrypted with a password"), ("picture", "This is a picture"), ("empty", "empty")],
)
def test_wrong_files_are_refused_at_the_field(page: Page, stack: Stack, tmp_path: Path, slug: str, words: str) -> None:
    file = tmp_path / "contract.pdf"
    contents = {"picture": b"\x89PNG\r\n\x1a\n", "empty": b""}
    file.write_bytes(contents[slug] if slug in contents else BY_SLUG[slug].path.read_bytes())
    upload(page, stack, file)
    expect(page.locator(".field[data-invalid] .error")).to_contain_text(words)
    expect(page.get_by_label("Contract", exact=True)).to_be_visible()


def test_without_javascript(browser: Browser, signed_in: Path, stack: Stack) -> None:
    context = browser.new_context(storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    start(page, stack)
    page.get_by_label("Or paste its text").fill((TEXTS / "mutual-nda.txt").read_text())
    page.get_by_label("Name", exact=True).fill("Halden and Orrin")
    page.get_by_role("button", name="Start the review").click()
    for _ in range(240):
        if page.get_by_role("link", name="Download JSON").count():
            break
        page.wait_for_timeout(250)
        page.reload()
    report(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Halden and Orrin")
    expect(panel(page, "Issues")).to_contain_text("No rule has anything against this document.")
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, signed_in: Path, stack: Stack, theme: str) -> None:
    context = browser.new_context(storage_state=signed_in, color_scheme=theme, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    run_sample(page, stack, "bill-of-sale")
    expect(page.get_by_role("link", name="Answer")).to_be_visible(timeout=SLOW)
    asked = page.url
    run_sample(page, stack, "loan-agreement")
    report(page)
    for address in (asked, page.url, f"{stack.url}/runs/legal-review/"):
        page.goto(address)
        found = Axe().run(page).response["violations"]
        serious = [
            (item["id"], item["nodes"][0]["html"]) for item in found if item["impact"] in ("serious", "critical")
        ]
        assert serious == []
    context.close()
