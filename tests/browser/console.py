"""Steps that several tests of the console take."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.stack import Stack


def reviewed(page: Page, stack: Stack, sample: str) -> str:
    """Run one of the legal samples and wait until it has ended or asks; returns the workflow's id."""
    page.goto(f"{stack.url}/runs/legal-review/")
    card = page.locator("li, article, .line, form, section.sample", has_text=sample).last
    card.get_by_role("button", name="Run").click()
    expect(page).to_have_url(re.compile(r"/runs/legal-review/[^/]+/$"))
    workflow = page.url.rstrip("/").rpartition("/")[2]
    page.goto(f"{stack.url}/workflows/{workflow}/")
    expect(page.locator("#wf-head .chip").first).to_have_text(
        re.compile("Completed|Needs a human|Failed"), timeout=60_000
    )
    return workflow


def ended(plain: Page) -> None:
    """Reload a workflow's page, as people without JavaScript do, until it has ended."""
    for _ in range(120):
        if plain.locator("#wf-head .chip").first.inner_text().strip() in ("Completed", "Cancelled", "Failed"):
            return
        plain.wait_for_timeout(250)
        plain.reload()
    raise AssertionError(plain.locator("#wf-head").inner_text())


def seeded(stack: Stack) -> None:
    """Made-up work beside what is there; once for all tests of a stack."""
    mark = stack.home / "seeded"
    if not mark.exists():
        stack.manage("seed_demo", "--beside", "--workflows", "20", "--escalations", "12")
        mark.touch()
