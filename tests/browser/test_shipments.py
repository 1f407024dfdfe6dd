"""A sample of carrier updates, from the browser alone: run, watch, correct, see it go through."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.stack import Stack

BOARD = "/runs/shipments/"
GOOD = "NORDEX;NX4982070000;PICKED_UP;2026-11-04T09:30:00+01:00;{place};12.4"


def figure(page: Page, label: str) -> Locator:
    """What stands in the figure with this label."""
    return page.locator(".figure-box", has=page.get_by_text(label, exact=True)).locator(".figure-value")


def start_sample(page: Page, stack: Stack, rows: int, seed: int) -> None:
    page.goto(f"{stack.url}{BOARD}start/")
    page.get_by_label("Rows", exact=True).first.fill(str(rows))
    page.get_by_label("Seed").fill(str(seed))
    page.get_by_role("button", name="Run the sample").click()
    expect(page).to_have_url(re.compile(r"/runs/shipments/feeds/feed-[0-9a-f]+/$"))


def decide(page: Page) -> None:
    """Press the main button of the repair form, and wait for the answer."""
    with page.expect_event("load"):  # the live page may be without its form before the answer is there
        page.locator("#repair [data-primary]").click()
    expect(page.locator("#repair")).to_have_count(0)


def test_a_sample_fills_the_board_and_a_corrected_row_goes_through(page: Page, stack: Stack) -> None:
    start_sample(page, stack, rows=200, seed=7)

    # The page fills by itself, without being loaded again.
    expect(page.locator("[data-recorded]")).to_have_text("198", timeout=60_000)
    expect(page.locator("tr[data-cause]")).to_have_count(2, timeout=30_000)
    expect(page.locator("#exceptions")).to_contain_text("Line 73: some bytes are not text")
    expect(page.locator("#exceptions")).to_contain_text("Line 186: the tracking number is missing")
    feed = page.url

    page.get_by_role("link", name=re.compile("the tracking number is missing")).click()
    page.locator("main a[href*='/escalations/feed-']").first.click()
    row = page.get_by_label("Row")
    expect(row).to_be_visible()
    carrier = row.input_value().split(";")[0]
    assert carrier, row.input_value()
    row.fill(GOOD.format(place="SESTO"))
    decide(page)

    page.goto(feed)
    expect(page.locator("tr[data-cause]")).to_have_count(1, timeout=30_000)
    page.goto(f"{stack.url}{BOARD}NX4982070000/")
    expect(page.locator("main")).to_contain_text("Picked up", timeout=30_000)


def test_a_skipped_row_is_listed_as_left_out(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}{BOARD}start/")
    page.locator("textarea[name=text]").fill(f"SWIFTLY;1;2\n{GOOD.format(place='SESTO')}\n")
    page.get_by_role("button", name="Start these rows").click()
    expect(page.locator("[data-recorded]")).to_have_text("1", timeout=30_000)
    feed = page.url
    page.locator("main a", has_text="no carrier has the code").first.click()
    page.locator(f"main a[href*='{feed.rstrip('/').rpartition('/')[2]}']").first.click()

    page.get_by_role("link", name="Skip", exact=True).click()
    expect(page.locator("#repair [name=action]")).to_have_value("skip")
    decide(page)

    page.goto(feed)
    expect(page.locator("#left-out")).to_contain_text("SWIFTLY;1;2", timeout=30_000)
    expect(figure(page, "Left out by decision")).to_have_text("1", timeout=15_000)


def test_the_board_is_narrowed_down_and_downloaded(page: Page, stack: Stack) -> None:
    start_sample(page, stack, rows=100, seed=9)
    expect(page.locator("[data-recorded]")).to_have_text("99", timeout=60_000)

    page.goto(f"{stack.url}{BOARD}?carrier=RHEIN")
    rows = page.locator("#rows tbody tr")
    expect(rows.first).to_contain_text("Rhein Spedition")
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON").click()
    shipments = json.loads(download.value.path().read_text())
    assert len(shipments) == rows.count()
    assert {one["carrier"] for one in shipments} == {"RHEIN"}

    rows.first.get_by_role("link").first.click()
    expect(page.locator("#track tbody tr").first).to_be_visible()


def test_what_is_no_feed_is_refused_beside_the_field(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}{BOARD}start/")
    page.locator("input[type=file]").set_input_files(
        {"name": "book.xlsx", "mimeType": "application/zip", "buffer": b"PK\x03\x04 workbook"}
    )
    page.get_by_role("button", name="Upload and start").click()

    expect(page.locator(".field[data-invalid]")).to_contain_text("This is a workbook or an archive, not a CSV file.")


def test_an_upload_with_a_broken_line_keeps_the_others(page: Page, stack: Stack) -> None:
    lines = [GOOD.format(place="SESTO").encode(), b'NORDEX;"NX1;', b"\x00\xff\x00", GOOD.format(place="FIHEL").encode()]
    page.goto(f"{stack.url}{BOARD}start/")
    page.locator("input[type=file]").set_input_files(
        {"name": "mixed.csv", "mimeType": "text/csv", "buffer": b"\n".join(lines)}
    )
    page.get_by_role("button", name="Upload and start").click()

    expect(page.locator("[data-recorded]")).to_have_text("2", timeout=30_000)
    expect(page.locator("#exceptions")).to_contain_text("Line 2: the quotation marks do not match", timeout=30_000)
    expect(page.locator("#exceptions")).to_contain_text("Line 3:")


def test_a_feed_is_made_and_sent_from_the_command_line(page: Page, stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "night.csv"
    stack.manage("make_shipments", "--rows", "30", "--seed", "3", "--bad-share", "0", "--out", str(file))

    feed = stack.manage("send_shipments", str(file)).strip()

    page.goto(f"{stack.url}{BOARD}feeds/{feed}/")
    expect(page.locator("[data-recorded]")).to_have_text("30", timeout=30_000)
    expect(page.get_by_role("heading", level=1)).to_have_text("night.csv")


def test_the_board_works_without_javascript(page: Page, stack: Stack) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    plain = context.new_page()
    plain.goto(f"{stack.url}{BOARD}")
    plain.get_by_role("button", name="100 rows").click()
    expect(plain).to_have_url(re.compile(r"/feeds/feed-[0-9a-f]+/$"))
    plain.goto(f"{stack.url}{BOARD}?q=NX")
    expect(plain.get_by_role("heading", name="Shipment board")).to_be_visible()
    context.close()
