"""Takes pictures of every page of a running console: three widths, both themes; and asks axe about each.

``python tools/screenshots.py --url http://127.0.0.1:8000 --login <one-time link or user:password>`` writes
build/screenshots/<page>-<width>-<theme>.png and prints what axe finds serious.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PAGES = {
    "overview": "/",
    "workflows": "/workflows/",
    "workflows-none": "/workflows/?q=nothing-like-this",
    "workflow": "first:/workflows/ tr[data-row] .row-link",
    "workflow-timeline": "first:/workflows/ tr[data-row] .row-link|?tab=timeline",
    "workflow-journal": "first:/workflows/ tr[data-row] .row-link|?tab=journal",
    "workflow-data": "first:/workflows/ tr[data-row] .row-link|?tab=data",
    "escalations": "/escalations/",
    "escalation": "first:/escalations/ tr[data-row] .row-link",
    "agents": "/agents/",
    "agent": "first:/agents/ tr[data-row] .row-link",
    "coordinators": "/coordinators/",
    "runs": "/runs/",
    "notices": "/notices/",
    "audit": "/audit/",
    "settings": "/settings/",
    "not-found": "/workflows/no-such-workflow/",
}


def chromium() -> str | None:
    """The browser on this machine, or nothing for Playwright's own."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


def sign_in(page: Page, url: str, login: str) -> None:
    """Sign in by a one-time link, or by ``name:password``."""
    if login.startswith("http"):
        page.goto(login)
        page.get_by_role("button", name="Sign in").click()
    else:
        name, _, password = login.partition(":")
        page.goto(f"{url}/login/")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("#main")


def address(page: Page, url: str, wanted: str) -> str | None:
    """The address of a page; ``first:<list> <selector>|<query>`` follows the first link of a list."""
    if not wanted.startswith("first:"):
        return url + wanted
    where, _, query = wanted.removeprefix("first:").partition("|")
    listing, _, selector = where.partition(" ")
    page.goto(url + listing)
    link = page.locator(selector).first
    if not link.count():
        return None
    return f"{url}{(link.get_attribute('href') or '').partition('?')[0]}{query}"


def shoot(context: BrowserContext, url: str, wanted: dict[str, str], folder: Path, suffix: str, full: bool) -> int:
    """Pictures of the wanted pages in one context; returns how many serious findings axe has."""
    page = context.new_page()
    found = 0
    for name, where in wanted.items():
        target = address(page, url, where)
        if target is None:
            print(f"{name}: there is nothing to show")
            continue
        page.goto(target)
        page.wait_for_timeout(700)
        page.screenshot(path=folder / f"{name}-{suffix}.png", full_page=full)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            print(f"{name} {suffix}: {wide} px wider than the screen")
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found += 1
                print(f"{name} {suffix}: {violation['id']}: {violation['help']}")
                for node in violation["nodes"][:4]:
                    print("   ", " ".join(node["html"].split())[:160])
    page.close()
    return found


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--login", required=True)
    parser.add_argument("--pages", default="", help="comma list; all by default")
    parser.add_argument("--widths", default="375,1024,1440")
    parser.add_argument("--themes", default="light,dark")
    parser.add_argument("--out", default="build/screenshots")
    parser.add_argument("--viewport", action="store_true", help="only what fits the window, not the full page")
    options = parser.parse_args()
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = options.pages.split(",") if options.pages else list(PAGES)
    wanted = {name: PAGES.get(name, name) for name in chosen}
    found = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        first = browser.new_context()
        sign_in(first.new_page(), options.url, options.login)
        state = first.storage_state()
        for theme in options.themes.split(","):
            for width in map(int, options.widths.split(",")):
                context = browser.new_context(
                    storage_state=state, viewport={"width": width, "height": 812 if width < 640 else 900},
                    color_scheme="dark" if theme == "dark" else "light", bypass_csp=False,
                )  # fmt: skip
                names = {re.sub(r"[^\w-]+", "_", name).strip("_"): where for name, where in wanted.items()}
                found += shoot(context, options.url, names, folder, f"{width}-{theme}", not options.viewport)
                context.close()
        browser.close()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
