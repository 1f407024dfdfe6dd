"""Asks Lighthouse about the main pages of a running console: accessibility and best practices, each at least 95.

``python tools/lighthouse.py --login <one-time link or user:password>`` runs Lighthouse by npx with the system's
Chromium, prints a table, and ends with 1 when a page stays below. Run by hand; it takes about ten seconds a page.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import sync_playwright

from tests import chromium
from tools.screenshots import address, sign_in

LIGHTHOUSE = "lighthouse@12.8.2"
LEAST = 95
CATEGORIES = ("accessibility", "best-practices")
PAGES = {
    "overview": "/",
    "workflows": "/workflows/",
    "workflow": "first:/workflows/ tr[data-row] .row-link",
    "escalations": "/escalations/",
    "escalation": "first:/escalations/ tr[data-row] .row-link",
    "agents": "/agents/",
    "coordinators": "/coordinators/",
    "runs": "/runs/",
    "settings": "/settings/",
}


def ask(program: list[str], url: str, cookie: str, preset: str) -> dict[str, tuple[int, list[str]]]:
    """The scores of one page, and what is found wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        headers = Path(folder) / "headers.json"
        headers.write_text(json.dumps({"Cookie": cookie}))
        command = [
            *program, url, "--quiet", "--output=json", f"--extra-headers={headers}",
            f"--only-categories={','.join(CATEGORIES)}",
            f"--chrome-flags=--headless=new {' '.join(chromium.ARGUMENTS)}",
            *(["--preset=desktop"] if preset == "desktop" else []),
        ]  # fmt: skip
        environ = {**os.environ, "CHROME_PATH": chromium.find()}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=180)
    report = json.loads(done.stdout)
    found = {}
    for name in CATEGORIES:
        category = report["categories"][name]
        failed = [
            f"{ref['id']}: {report['audits'][ref['id']]['title']}"
            for ref in category["auditRefs"]
            if ref["weight"] and report["audits"][ref["id"]]["score"] not in (None, 1)
        ]
        found[name] = (round(category["score"] * 100), failed)
    return found


def main() -> int:
    """Ask about each page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--login", required=True)
    parser.add_argument("--pages", default=",".join(PAGES))
    parser.add_argument("--preset", choices=("mobile", "desktop"), default="mobile")
    parser.add_argument("--lighthouse", default="", help="an installed program, instead of npx")
    options = parser.parse_args()
    program = [options.lighthouse] if options.lighthouse else ["npx", "--yes", LIGHTHOUSE]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.ARGUMENTS)
        context = browser.new_context()
        page = context.new_page()
        sign_in(page, options.url, options.login)
        wanted = {name: address(page, options.url, PAGES[name]) for name in options.pages.split(",")}
        cookie = "; ".join(f"{one.get('name')}={one.get('value')}" for one in context.cookies())
        browser.close()
    below = 0
    print(f"{'page':<14}{'accessibility':>14}{'best practices':>16}")
    for name, url in wanted.items():
        if url is None:
            print(f"{name:<14}there is nothing to show")
            continue
        found = ask(program, url, cookie, options.preset)
        print(f"{name:<14}{found['accessibility'][0]:>14}{found['best-practices'][0]:>16}", flush=True)
        for score, failed in found.values():
            below += score < LEAST
            for one in failed:
                print(f"    {one}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
