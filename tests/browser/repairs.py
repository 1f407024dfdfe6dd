"""Steps that the tests of the repair page share: failures to repair, people, and the rules that hold for them."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.stack import Stack, wait_until


def api(stack: Stack, path: str, body: Any = None) -> Any:
    """Call the API with the token of this machine's command line."""
    request = urllib.request.Request(
        f"{stack.url}/api{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {(stack.home / 'cli-token').read_text().strip()}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or b"null")


def broken(stack: Stack, *items: str) -> list[tuple[str, str]]:
    """Orders whose first step fails; returns the workflow and the escalation of each."""
    ids = [api(stack, "/workflows", {"type": "repair_order", "input": {"item": item}})["id"] for item in items]
    found: dict[str, str] = {}

    def all_there() -> bool:
        listed = api(stack, "/escalations?task=repair_pack&limit=500")["items"]
        found.update({one["workflow_id"]: one["id"] for one in listed if one["workflow_id"] in ids})
        return len(found) == len(ids)

    wait_until(all_there, 30)
    return [(workflow, found[workflow]) for workflow in ids]


def result_of(stack: Stack, workflow: str) -> Any:
    """The result of a workflow that is about to end."""
    return api(stack, f"/workflows/{workflow}/result?wait_s=20")["result"]


def rules(page: Page, stack: Stack, *, undo_s: int, four_eyes: tuple[str, ...] = ()) -> None:
    """Set the rules for decisions as an administrator does."""
    page.goto(f"{stack.url}/settings/")
    policy = page.locator("#policy")
    for box in policy.locator("input[name=four_eyes]").all():
        box.set_checked(box.get_attribute("value") in four_eyes)
    policy.locator("#undo-s").fill(str(undo_s))
    policy.get_by_role("button", name="Set the rules").click()
    expect(page.locator(".notices").first).to_contain_text("are changed")


def person(page: Page, browser: Browser, stack: Stack, name: str, role: str) -> BrowserContext:
    """The browser of a new person with one role, who came by a login link."""
    page.goto(f"{stack.url}/settings/")
    page.locator("#person-name").fill(name)
    page.locator("#person-role").select_option(role)
    page.get_by_role("button", name="Add a person").click()
    link = page.locator("#new-link").inner_text()
    theirs = browser.new_context(viewport={"width": 1280, "height": 900})
    theirs.set_default_timeout(15_000)
    opened = theirs.new_page()
    opened.goto(link)
    opened.get_by_role("button", name="Sign in").click()
    expect(opened.locator("#main")).to_be_visible()
    opened.close()
    return theirs


def let_claims_expire(stack: Stack) -> None:
    """As if five minutes had passed."""
    with sqlite3.connect(stack.home / "ganglion.sqlite3", timeout=20) as database:
        database.execute("UPDATE dashboard_escalation SET claimed_until = '2020-01-01 00:00:00'")
