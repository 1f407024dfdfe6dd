"""Takes pictures of every page of a running console: three widths, both themes; and asks axe about each.

``python tools/screenshots.py --url http://127.0.0.1:8000 --login <one-time link or user:password>`` writes
build/screenshots/<page>-<width>-<theme>.png and prints what axe finds serious.
``python tools/screenshots.py --guide`` starts a console of its own with made-up work and writes docs/pictures.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests import chromium, servers
from tests.browser.console import reviewed
from tests.browser.repairs import api
from tests.browser.test_shipments import start_sample
from tests.stack import Stack, wait_until

ROOT = Path(__file__).resolve().parent.parent
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


GUIDE = {
    "overview": "/",
    "workflows": "/workflows/",
    "workflow-timeline": "first:/workflows/?state=completed&type=legal_review tr[data-row] .row-link|?tab=timeline",
    "escalations": "first:/escalations/ .cause .row-link",
    "escalation": "first:/escalations/?q=columns tr[data-row] .row-link",
    "bulk-restart": "/bulk/new/?on=escalations&all=1&f-state=open&f-task=parse_update&action=restart&previewed=1",
    "approvals": "/approvals/",
    "ledger": "/ledger/",
    "notices": "/notices/",
    "agents": "/agents/",
    "coordinators": "/coordinators/",
    "audit": "/audit/",
}
GUIDE_FOLDER = ROOT / "docs" / "pictures"


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
    href = link.get_attribute("href") or ""
    return url + (listing.partition("?")[0] + href if href.startswith("?") else href.partition("?")[0]) + query


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


def busy(stack: Stack, page: Page) -> None:
    """A system at work: a made-up past and people, real work under way, and a coordinator host that is killed."""
    stack.manage("seed_demo", "--plain")
    for sample in ("Warehouse lease", "Mutual non-disclosure agreement", "Employment contract"):
        reviewed(page, stack, sample)
    start_sample(page, stack, rows=1500, seed=7)
    page.wait_for_timeout(1500)
    os.kill(max(api(stack, "/coordinators"), key=lambda host: host["held"])["pid"], signal.SIGKILL)
    stack.manage("seed_people")
    wait_until(lambda: len(api(stack, "/escalations?task=parse_update")["items"]) > 2, 60)


def guide() -> int:
    """The pictures of the operator guide, from a fresh installation with made-up work; small, with few colours."""
    GUIDE_FOLDER.mkdir(parents=True, exist_ok=True)
    with servers.folder() as folder, sync_playwright() as playwright:
        stack = Stack(folder, servers.spare_port())
        stack.start()
        try:
            browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.ARGUMENTS)
            context = browser.new_context(viewport={"width": 1200, "height": 750}, color_scheme="light")
            page = context.new_page()
            sign_in(page, stack.url, stack.login_link)
            busy(stack, page)
            for name, where in GUIDE.items():
                page.goto(address(page, stack.url, where) or stack.url)
                page.locator('#live-state[data-live="live"]').wait_for()
                page.wait_for_timeout(500)  # charts and ages are drawn
                path = GUIDE_FOLDER / f"{name}.png"
                page.screenshot(path=path)
                Image.open(path).convert("RGB").quantize(160).save(path, optimize=True)
                print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
            browser.close()
        finally:
            stack.end(signal.SIGTERM)
    return 0


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--guide", action="store_true", help="write the pictures of the operator guide")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--login", default="")
    parser.add_argument("--pages", default="", help="comma list; all by default")
    parser.add_argument("--widths", default="375,1024,1440")
    parser.add_argument("--themes", default="light,dark")
    parser.add_argument("--out", default="build/screenshots")
    parser.add_argument("--viewport", action="store_true", help="only what fits the window, not the full page")
    options = parser.parse_args()
    if options.guide:
        return guide()
    if not options.login:
        parser.error("--login is needed: a one-time link, or user:password")
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = options.pages.split(",") if options.pages else list(PAGES)
    wanted = {name: PAGES.get(name, name) for name in chosen}
    found = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.ARGUMENTS)
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
