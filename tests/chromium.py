"""Finds the Chromium that browser tests drive. As a program it prints where it is."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find() -> str:
    """The browser's program: ``GANGLION_CHROMIUM``, one on PATH, or Playwright's own.

    Raises:
        FileNotFoundError: There is none.
    """
    for name in (os.environ.get("GANGLION_CHROMIUM") or "", *NAMES):
        found = shutil.which(name) if name else None
        if found:
            return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if Path(own).exists():
        return own
    raise FileNotFoundError("No Chromium: install it, on Debian by apt-get install chromium; or run bin/test once.")


if __name__ == "__main__":
    try:
        print(find())
    except FileNotFoundError as error:
        sys.exit(str(error))
