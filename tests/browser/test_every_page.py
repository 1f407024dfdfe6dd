"""Every page, on a phone and on a wide screen, light and dark: axe finds nothing serious, nothing is too wide."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlencode

import pytest
from allauth.mfa.totp.internal import auth as totp
from playwright.sync_api import Browser, Page, expect

from dashboard import pages
from tests.browser import looks
from tests.browser.console import reviewed, seeded
from tests.browser.repairs import api, broken, person, rules
from tests.browser.test_shipments import start_sample
from tests.integration.test_page_queries import ELSEWHERE, PAGES
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
# see the last tests
DONE_FIRST = {
    "agent-type-test", "bulk-action", "shipments:feed", "shipments:shipment", "legal_review:review", "workflow-restart",
    "login", "login-once", "login-second",
}  # fmt: skip
MORE = {
    "timeline": "/workflows/awkward-script/?tab=timeline",
    "journal": "/workflows/awkward-script/?tab=journal",
    "data": "/workflows/awkward-script/?tab=data",
    "cause": "first:/escalations/ .cause .row-link",
    "bulk-new": "/bulk/new/?on=escalations&all=1&f-state=open&action=retry",
    "performance": "/performance/",
    "agent-onboard": "/agents/onboard/",
    "shipments:start": "/runs/shipments/start/",
    "settings": "/settings/",
    "profile": "/settings/profile/",
    "not found": "/workflows/no-such-thing/",
    "nothing there": "/nowhere/",
}


def test_every_page_of_the_console_is_known_here() -> None:
    pages.load()
    assert set(pages._PAGES) - DONE_FIRST <= set(LIVE)
    assert set(PAGES) | ELSEWHERE <= {*LIVE, *MORE, *DONE_FIRST}


def address(page: Page, stack: Stack, wanted: str) -> str:
    if not wanted.startswith("first:"):
        return stack.url + wanted
    path, _, selector = wanted.removeprefix("first:").partition(" ")
    page.goto(stack.url + path)
    href = page.locator(selector).first.get_attribute("href")
    assert href
    return stack.url + (path + href if href.startswith("?") else href)


@pytest.fixture
def page(browser: Browser, signed_in: str) -> Iterator[Page]:
    context = browser.new_context(storage_state=signed_in)
    made = context.new_page()
    looks.begin(made)
    yield made
    context.close()


@pytest.mark.timeout(600)
def test_axe_finds_nothing_serious_anywhere(page: Page, stack: Stack) -> None:
    seeded(stack)
    addresses = {name: address(page, stack, wanted) for name, wanted in {**LIVE, **MORE}.items()}
    workflow = reviewed(page, stack, "Warehouse lease")
    addresses["legal_review:review"] = f"{stack.url}/runs/legal-review/{workflow}/"
    addresses["calls of the API"] = f"{stack.url}/api/docs"
    addresses["restart"] = f"{stack.url}/workflows/{workflow}/restart/?step=1"
    found: list[str] = []
    for name, where in addresses.items():
        page.goto(where)
        found += looks.complaints(page, name)
    assert not found, "\n".join(found)


@pytest.mark.timeout(300)
def test_nor_on_pages_of_what_was_done(page: Page, stack: Stack) -> None:
    seeded(stack)
    found: list[str] = []

    def look(name: str, where: str = "") -> None:
        if where:
            page.goto(stack.url + where)
        found.extend(looks.complaints(page, name))

    call = {"task_type": "bad_script", "payload": "hello"}
    sent = api(stack, "/workflows", {"type": "agent_test_call", "input": call})["id"]
    page.goto(f"{stack.url}/agents/types/bad_script/test/?sent={sent}")
    expect(page.locator("#tc-outcome .chip")).to_have_text("Succeeded", timeout=30_000)
    look("test call")

    start_sample(page, stack, rows=6, seed=3)
    look("feed")
    tracking = page.locator("a[href^='/runs/shipments/']:not([href*=feeds]):not([href*=start])").last
    expect(tracking).to_be_visible(timeout=30_000)
    look("shipment", tracking.get_attribute("href") or "")

    chosen = {"on": "escalations", "all": "1", "f-state": "open"}
    for action in ("edit", "reroute", "restart"):
        look(f"bulk {action}", f"/bulk/new/?{urlencode({**chosen, 'action': action})}")
    body = {"target": "escalations", "action": "retry", "filter": {"task": "translate"}, "canary": False}
    digest = api(stack, "/bulk/preview", {key: body[key] for key in ("target", "action", "filter")})["digest"]
    made = api(stack, "/bulk", {**body, "digest": digest, "per_second": 0.1})["id"]
    look("bulk under way", f"/bulk/{made}/")
    api(stack, f"/bulk/{made}/cancel", {})
    look("bulk cancelled", f"/bulk/{made}/")
    assert not found, "\n".join(found)


@pytest.mark.timeout(300)
def test_nor_at_the_door_nor_where_it_is_refused(page: Page, browser: Browser, stack: Stack) -> None:
    found: list[str] = []
    theirs = person(page, browser, stack, "tilda", "approver")
    other = theirs.new_page()
    looks.begin(other)
    other.goto(f"{stack.url}/settings/profile/")
    other.locator("section[aria-labelledby=app-head] button").first.click()
    secret = re.search(r"\b[A-Z2-7]{32}\b", other.locator("main").inner_text())
    assert secret
    found += looks.complaints(other, "profile, an app begins")
    other.locator("#app-code").fill(totp.format_hotp_value(totp.hotp_value(secret[0], int(time.time()) // 30)))
    other.locator("#app-code").press("Enter")
    expect(other.locator("#recovery-codes")).to_be_visible()
    found += looks.complaints(other, "profile, recovery codes")
    theirs.clear_cookies()
    other.goto(f"{stack.url}/login/")
    found += looks.complaints(other, "login")
    link = re.search(r"http\S+", stack.manage("make_login_link", "tilda", "--base-url", stack.url))
    assert link
    other.goto(link[0])
    found += looks.complaints(other, "login by a link")
    other.get_by_role("button", name="Sign in").click()
    expect(other.locator("main")).to_contain_text("code")
    found += looks.complaints(other, "second factor")
    theirs.close()

    rules(page, stack, undo_s=1, four_eyes=("supply",))
    try:
        _, escalation = broken(stack, "broken lamp")[0]
        api(stack, f"/escalations/{escalation}/resolve", {
            "action": "supply", "payload": {"label": "a lamp", "weight_kg": 2}, "version": 1, "comment": "weighed it",
        })  # fmt: skip
        for name in (f"/escalations/{escalation}/", "/approvals/"):
            page.goto(stack.url + name)
            page.locator("#asked summary, #ap-list summary").first.click()
            found += looks.complaints(page, f"approval {name}")
    finally:
        rules(page, stack, undo_s=1)
    page.goto(f"{stack.url}/login/")
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<form method=post action=/settings/theme/><button id=go>x')"
    )
    page.locator("#go").evaluate("button => button.form.submit()")
    expect(page.locator("main")).to_contain_text("403")
    found += looks.complaints(page, "403")
    assert not found, "\n".join(found)


@pytest.mark.timeout(300)
def test_nor_where_a_form_is_refused_nor_when_the_console_fails(page: Page, stack: Stack) -> None:
    seeded(stack)
    found: list[str] = []

    def refused(where: str, fields: dict[str, str], button: str) -> None:
        page.goto(stack.url + where)
        wanted = page.get_by_role("button", name=button, exact=True, include_hidden=True)
        form = page.locator("form", has=wanted).first
        form.evaluate("form => { form.noValidate = true; form.closest('details')?.setAttribute('open', ''); }")
        for selector, text in fields.items():
            page.locator(selector).fill(text)
        form.get_by_role("button", name=button, exact=True).first.click()
        expect(page.locator("main :is([role=alert], .error):visible").first).to_be_visible()
        found.extend(looks.complaints(page, f"refused {where}"))

    refused("/settings/", {"#token-name": "for ever", "#token-days": "9999"}, "Make a token")
    refused("/settings/", {"#new": "short", "#again": "other"}, "Set password")
    refused("/agents/", {"#r-name": "inside", "#r-url": "http://169.254.169.254/", "#r-types": "peek"}, "Register")
    refused("/agents/onboard/", {"#c-url": "ftp://x"}, "Read the card")
    refused("/agents/types/parse_update/test/", {}, "Send the test")
    refused("/runs/legal-review/", {}, "Start the review")
    refused("/runs/shipments/start/", {}, "Upload and start")
    refused("/notices/", {"#channel-name": ""}, "Add the channel")
    refused("/bulk/new/?on=escalations&all=1&f-state=open&action=reroute", {}, "Preview")

    with closing(sqlite3.connect(stack.home / "ganglion.sqlite3", timeout=20)) as database, database:
        database.execute(
            "INSERT INTO lab_labrun (kind, state, target, actor, web_pid, began_at, lines, figures)"
            " VALUES ('host', 'done', 'x', 'nobody', 1, '2020-01-01 00:00:00', '[1]', '[1]')"
        )
    try:
        answer = page.goto(f"{stack.url}/lab/")
        assert answer is not None
        assert answer.status == 500
        expect(page.locator("main")).to_contain_text("The console itself failed here")
        found += looks.complaints(page, "500")
    finally:
        with closing(sqlite3.connect(stack.home / "ganglion.sqlite3", timeout=20)) as database, database:
            database.execute("DELETE FROM lab_labrun WHERE actor = 'nobody'")
    assert not found, "\n".join(found)
