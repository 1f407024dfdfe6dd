"""Steps that several tests of the console take."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.stack import Stack


@contextlib.contextmanager
def in_order(stack: Stack) -> Iterator[None]:
    """Start a stack; at the end it must stop in order, leave no process behind, and have logged no traceback."""
    stack.start()
    yield
    code = stack.end(signal.SIGTERM)
    assert code == 0, stack.log[-3000:]
    assert not stack.left(), stack.log[-3000:]
    assert "Traceback" not in stack.log, stack.log[stack.log.index("Traceback") - 2000 :][:6000]


def sign_in(stack: Stack, browser: Browser) -> Path:
    """The cookies of somebody who used the printed link."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(stack.login_link)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#main")).to_be_visible()
    path = stack.home / "browser-state.json"
    context.storage_state(path=path)
    context.close()
    return path


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


def instruct_nothing(page: Page) -> None:
    """Assert that an element with instructions sends its request beside a payload, and none inside it."""
    assert page.evaluate("htmx.config.mode") == "same-origin"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_request("**/healthz?beside"):
        page.evaluate(
            """() => {
                for (const [name, place] of [["inside", "#wf-result"], ["beside", "main"]]) {
                    const planted = document.createElement("b");
                    planted.setAttribute("hx-get", `/healthz?${name}`);
                    planted.setAttribute("hx-swap", "none");
                    document.querySelector(place).append(planted);
                    htmx.process(document.querySelector("main"));
                    planted.click();
                }
            }"""
        )
    assert not [url for url in asked if "inside" in url]
