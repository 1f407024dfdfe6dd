"""Calls of the API, by the standard library alone."""

from __future__ import annotations

import json
import mimetypes
import os
import secrets
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from dashboard.cli.errors import CommandFailed, Exit

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 60.0


def home() -> Path:
    """The data folder, as bin/up uses it: GANGLION_HOME, else .ganglion beside the program's code."""
    given = os.environ.get("GANGLION_HOME")
    return Path(given) if given else Path(__file__).resolve().parents[2] / ".ganglion"


def token() -> str:
    """GANGLION_TOKEN, else what the token file holds.

    Raises:
        CommandFailed: There is neither.
    """
    given = os.environ.get("GANGLION_TOKEN", "").strip()
    if given:
        return given
    path = home() / "cli-token"
    try:
        return path.read_text().strip()
    except OSError:
        raise CommandFailed(
            f"There is no token: set GANGLION_TOKEN, or start bin/up on this machine, which writes {path}.",
            Exit.REFUSED,
        ) from None


def address() -> str:
    """GANGLION_URL, else where the latest bin/up on the data folder answers, else bin/up's usual address."""
    given = os.environ.get("GANGLION_URL")
    if given:
        return given.rstrip("/")
    try:
        return (home() / "up.lock").read_text().split()[1]  # process id and address
    except (OSError, IndexError):
        return DEFAULT_URL


class Api:
    """One console's API."""

    def __init__(self) -> None:
        self.url = address()

    def get(self, path: str, **query: Any) -> Any:
        """Read."""
        wanted = {name: value for name, value in query.items() if value not in (None, "")}
        return self._call("GET", f"{path}?{urlencode(wanted)}" if wanted else path)[1]

    def post(self, path: str, body: Any = None) -> Any:
        """Write."""
        return self._call("POST", path, json.dumps(body).encode() if body is not None else b"")[1]

    def ask(self, path: str, **query: Any) -> tuple[int, Any]:
        """Read, with the status: 202 says that there is no answer yet."""
        return self._call("GET", f"{path}?{urlencode(query)}")

    def upload(self, path: Path, kinds: str) -> Any:
        """Store a document; returns its reference."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CommandFailed(f"{path} cannot be read: {error.strerror}.") from None
        boundary = secrets.token_hex(16)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        name = path.name.replace('"', "'").replace("\r", "").replace("\n", "")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        body = f"{head}Content-Type: {kind}\r\n\r\n".encode() + data + f"\r\n--{boundary}--\r\n".encode()
        address = f"/documents?{urlencode({'kinds': kinds})}"
        return self._call("POST", address, body, f"multipart/form-data; boundary={boundary}")[1]

    def _call(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        if not self.url.startswith(("http://", "https://")):
            raise CommandFailed(f"GANGLION_URL={self.url!r} is no address: use http://… or https://….")
        headers = {"Authorization": f"Bearer {token()}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = kind
        request = urllib.request.Request(f"{self.url}/api{path}", body, headers, method=method)  # noqa: S310 checked above
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 checked above
                return answer.status, _decode(answer.read())
        except urllib.error.HTTPError as error:
            raise CommandFailed.from_answer(error.code, _decode(error.read())) from None
        except (urllib.error.URLError, HTTPException, OSError) as error:
            why = getattr(error, "reason", None) or error
            raise CommandFailed(
                f"The console at {self.url} does not answer ({why}). Is bin/up running? GANGLION_URL sets the address.",
                Exit.UNAVAILABLE,
            ) from None


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None


def segment(identity: str) -> str:
    """An id as a part of a path."""
    return quote(identity, safe="")
