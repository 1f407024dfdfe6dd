"""A stack whose agent fails for three causes, each until its number stands in a file."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import servers
from tests.browser.console import in_order
from tests.stack import Stack


class Causes(Stack):
    """Ganglion with the failing agent, and the switch that repairs it."""

    def __init__(self, folder: Path) -> None:
        self.fixed = folder / "fixed"
        self.fixed.write_text("")
        super().__init__(
            folder, servers.spare_port(), GANGLION_EXTRA_APPS="tests.causes_app", CAUSES_FIXED=str(self.fixed),
            GANGLION_NO_AGENT_S="300", GANGLION_DEBUG="1",
        )  # fmt: skip

    def call(self, path: str, body: Any = None) -> Any:
        """Ask the API as the command line does: GET without a body, POST with one."""
        token = (self.home / "cli-token").read_text().strip()
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            raw = answer.read()
        return json.loads(raw) if raw else None

    def submit(self, workflow_type: str, numbers: range) -> None:
        """Submit one workflow for each number."""
        for number in numbers:
            self.call("/workflows", {"type": workflow_type, "input": {"number": number}})

    def drain(self, *, undo: bool = False) -> None:
        """Let the agent that prices take nothing new, or let it take tasks again."""
        for agent in self.call("/agents"):
            if "price_parcel" in agent["types"]:
                self.call(f"/agents/{agent['id']}/{'undrain' if undo else 'drain'}", {})


@contextlib.contextmanager
def running() -> Iterator[Causes]:
    """The stack; at the end it must stop in order and leave no process behind."""
    with servers.folder() as folder:
        stack = Causes(folder)
        with in_order(stack):
            yield stack
