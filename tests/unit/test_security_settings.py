"""What the settings and templates promise by themselves, without anything running."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
ASKED = """
import json
from config import settings as s
print(json.dumps({name: getattr(s, name) for name in (
    "DEBUG", "SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE",
    "SESSION_COOKIE_HTTPONLY", "CSRF_COOKIE_HTTPONLY", "SESSION_COOKIE_SAMESITE", "SECURE_HSTS_SECONDS",
    "SECURE_PROXY_SSL_HEADER", "CELERY_ACCEPT_CONTENT")} | {"kept": s.DATABASES["default"]["CONN_MAX_AGE"]}))
"""


def settings_of(tmp_path: Path, **variables: str) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "GANGLION_HOME": str(tmp_path), **variables}
    done = subprocess.run(
        [sys.executable, "-c", ASKED], cwd=ROOT, env=environment, capture_output=True, check=True, timeout=60
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_an_installation_that_says_nothing_is_no_debugger(tmp_path: Path) -> None:
    found = settings_of(tmp_path)
    assert found["DEBUG"] is False
    assert found["SESSION_COOKIE_HTTPONLY"] and found["CSRF_COOKIE_HTTPONLY"]
    assert found["SESSION_COOKIE_SAMESITE"] == "Lax"
    assert found["SECURE_PROXY_SSL_HEADER"] is None  # nobody's header is believed
    assert found["CELERY_ACCEPT_CONTENT"] == ["json"]
    assert found["kept"] == 0
    assert (tmp_path / "secret-key").stat().st_mode & 0o077 == 0


def test_behind_https_cookies_belong_to_this_host_alone(tmp_path: Path) -> None:
    found = settings_of(tmp_path, GANGLION_TLS="1", DATABASE_URL="postgresql://u:p@127.0.0.1/x")
    assert found["SESSION_COOKIE_NAME"] == "__Host-session" and found["CSRF_COOKIE_NAME"] == "__Host-csrf"
    assert found["SESSION_COOKIE_SECURE"] and found["CSRF_COOKIE_SECURE"]
    assert found["SECURE_HSTS_SECONDS"] > 0
    assert found["kept"] == 0


def test_no_template_lets_markup_through_or_carries_code() -> None:
    pages = [path for folder in ("templates", "dashboard", "examples") for path in (ROOT / folder).rglob("*.html")]
    assert len(pages) > 20
    for path in pages:
        text = path.read_text()
        assert not re.search(r"\|\s*safe\b|autoescape off|\sstyle=|\son[a-z]+=|javascript:|hx-on", text), path


def test_only_numbers_are_marked_as_markup_by_hand() -> None:
    marked = [
        (path.name, line.strip())
        for folder in ("dashboard", "examples", "config")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"mark_safe\(|SafeString\((?!.*aria-current)", line) and "import" not in line
    ]
    assert [name for name, _ in marked] == ["console.py"], marked
