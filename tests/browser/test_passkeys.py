"""A passkey is made on the profile and lets its person in, with the browser's own virtual authenticator."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from tests.stack import Stack


def test_a_passkey_lets_its_person_in(browser: Browser, stack: Stack) -> None:
    url = stack.url.replace("127.0.0.1", "localhost")
    link = stack.manage("make_login_link", "admin", "--base-url", url).strip().splitlines()[-1]
    context = browser.new_context()
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True,
        }},
    )  # fmt: skip
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{url}/settings/profile/")
    page.get_by_label("Name").fill("my laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    expect(page.locator("main")).to_contain_text("my laptop")
    context.clear_cookies()
    page.goto(f"{url}/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(re.compile(re.escape(url) + "/$"))
    expect(page.locator("#main")).to_be_visible()
    page.goto(f"{url}/settings/profile/")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator("main")).to_contain_text("Your password alone lets you in")
    context.close()
