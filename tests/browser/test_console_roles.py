"""Who may do what: strangers, viewers and operators, in pages, forms and sockets; and what Settings does."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser.console import reviewed
from tests.stack import Stack


def person(page: Page, browser: Browser, stack: Stack, name: str, role: str) -> Page:
    """A page of a new person with one role, who came by a login link."""
    page.goto(f"{stack.url}/settings/")
    page.locator("#person-name").fill(name)
    page.locator("#person-role").select_option(role)
    page.get_by_role("button", name="Add a person").click()
    link = page.locator("#new-link").inner_text()
    theirs = browser.new_context().new_page()
    theirs.goto(link)
    theirs.get_by_role("button", name="Sign in").click()
    expect(theirs.locator("#main")).to_be_visible()
    return theirs


def test_strangers_are_sent_to_the_login(anonymous: Page, stack: Stack) -> None:
    for path in ("/", "/workflows/", "/escalations/", "/agents/", "/coordinators/", "/runs/", "/audit/", "/settings/"):
        anonymous.goto(stack.url + path)
        expect(anonymous).to_have_url(re.compile("/login/"))
    anonymous.get_by_label("Name").fill("admin")
    anonymous.get_by_label("Password").fill("not this one")
    anonymous.get_by_role("button", name="Sign in").click()
    expect(anonymous.get_by_role("alert")).to_contain_text("do not belong together")


def test_a_login_link_works_once(page: Page, browser: Browser, stack: Stack) -> None:
    said = re.search(r"http\S+", stack.manage("make_login_link", "admin", "--base-url", stack.url))
    assert said
    first, second = browser.new_context().new_page(), browser.new_context().new_page()
    first.goto(said.group(0))
    first.get_by_role("button", name="Sign in").click()
    expect(first.locator("#main")).to_be_visible()
    second.goto(said.group(0))
    expect(second.locator("main")).to_contain_text("no longer works")


def test_a_viewer_sees_but_decides_nothing(page: Page, browser: Browser, stack: Stack) -> None:
    workflow = reviewed(page, stack, "Warehouse lease")
    page.goto(f"{stack.url}/workflows/{workflow}/")
    address = page.locator("#wf-head a.button-primary").first.get_attribute("href")
    viewer = person(page, browser, stack, "vera", "viewer")
    viewer.goto(f"{stack.url}{address}")
    expect(viewer.locator("main")).to_contain_text("needs the role operator")
    expect(viewer.locator("#repair")).to_have_count(0)
    expect(viewer.locator("#live-state")).to_have_attribute("data-live", "live")
    expect(viewer.get_by_role("button", name=re.compile("Claim"))).to_have_count(0)
    viewer.goto(f"{stack.url}/workflows/{workflow}/")
    expect(viewer.get_by_role("button", name="Cancel")).to_have_count(0)
    viewer.goto(f"{stack.url}/settings/")
    expect(viewer.locator("#people")).to_have_count(0)
    token = viewer.locator("input[name=csrfmiddlewaretoken]").first.input_value()
    for path in (f"{address}resolve/", f"/workflows/{workflow}/cancel/", "/agents/types/classify/pause/"):
        answer = viewer.request.post(
            stack.url + path,
            form={"csrfmiddlewaretoken": token, "action": "fail"},
            headers={"Referer": stack.url},
        )
        assert answer.status == 403, path


def test_an_operator_decides_but_manages_nobody(page: Page, browser: Browser, stack: Stack) -> None:
    operator = person(page, browser, stack, "olaf", "operator")
    operator.goto(f"{stack.url}/agents/")
    expect(operator.get_by_role("button", name="Pause").first).to_be_visible()
    expect(operator.locator("#register form")).to_have_count(0)
    operator.goto(f"{stack.url}/settings/")
    expect(operator.locator("#people")).to_have_count(0)


def test_who_is_locked_out_is_cut_off(page: Page, browser: Browser, stack: Stack) -> None:
    theirs = person(page, browser, stack, "lea", "viewer")
    theirs.goto(f"{stack.url}/workflows/")
    expect(theirs.locator("#live-state")).to_have_attribute("data-live", "live")
    page.goto(f"{stack.url}/settings/")
    page.locator("tr", has_text="lea").get_by_role("button", name="Lock").click()
    page.locator("#confirm").get_by_role("button", name="Lock").click()
    expect(theirs).to_have_url(re.compile("/login/"), timeout=25_000)


def test_a_token_is_shown_once_and_revoked(page: Page, anonymous: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/settings/")
    page.locator("#token-name").fill("nightly import")
    page.get_by_role("button", name="Make a token").click()
    raw = page.locator("#new-token").inner_text()
    assert raw.startswith("gang_")
    answer = anonymous.request.get(f"{stack.url}/api/workflows", headers={"Authorization": f"Bearer {raw}"})
    assert answer.status == 200
    page.reload()
    expect(page.locator("body")).not_to_contain_text(raw)
    page.goto(f"{stack.url}/settings/")
    page.locator("tr", has_text="nightly import").get_by_role("button", name="Revoke").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.locator("tr", has_text="nightly import")).to_contain_text("Revoked")
    assert anonymous.request.get(f"{stack.url}/api/workflows", headers={"Authorization": f"Bearer {raw}"}).status == 401
