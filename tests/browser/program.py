"""A program beside the console, for tests: it uses the API and the command line, and reads what refuses it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import redis
from playwright.sync_api import Page

from tests.stack import ROOT, Stack, wait_until


class Program:
    """The API with the token of the command line, and the command line itself."""

    def __init__(self, stack: Stack, page: Page) -> None:
        self.stack = stack
        self.page = page
        self.headers = {"Authorization": f"Bearer {(stack.home / 'cli-token').read_text().strip()}"}

    def get(self, path: str) -> tuple[int, Any]:
        answer = self.page.request.get(f"{self.stack.url}/api{path}", headers=self.headers, timeout=60_000)
        assert "Traceback" not in answer.text()
        return answer.status, answer.json()

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        answer = self.page.request.post(
            f"{self.stack.url}/api{path}", data=json.dumps(body), timeout=60_000,
            headers={**self.headers, "Content-Type": "application/json"},
        )  # fmt: skip
        assert "Traceback" not in answer.text()
        return answer.status, answer.json() if answer.text() else None

    def submit(self, workflow_type: str, given: Any) -> str:
        status, answer = self.post("/workflows", {"type": workflow_type, "input": given})
        assert status == 201, answer
        return str(answer["id"])

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dashboard.cli", *arguments],
            env={**self.stack.environ, "GANGLION_URL": self.stack.url}, cwd=ROOT,
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    def refused(self, code: int, words: str, *arguments: str) -> None:
        """A command that says one line on stderr and ends with its code."""
        ran = self.cli(*arguments)
        assert (ran.returncode, ran.stdout) == (code, ""), ran.stderr
        assert words in ran.stderr
        assert len(ran.stderr.splitlines()) == 1, ran.stderr


def refused_early(program: Program) -> tuple[int, Any]:
    """The answer of an admission that has looked at the server's memory, which it does once a second."""
    answers: list[tuple[int, Any]] = []

    def refused() -> bool:
        answers.append(program.post("/workflows", {"type": "bad_wait"}))
        return answers[-1][0] != 201

    wait_until(refused, 10)
    return answers[-1]


def refused_by_the_server(server: redis.Redis, program: Program, accepted: str) -> None:
    """Let the server itself refuse: a write without an admission, and a submit between two looks at the memory."""
    for _ in range(10):
        server.config_set("maxmemory", 0)
        wait_until(lambda: program.post("/workflows", {"type": "bad_wait"})[0] == 201, 10)
        server.config_set("maxmemory", 1)
        status, answer = program.post("/workflows", {"type": "bad_wait"})
        assert (status, answer["code"]) == (429, "admission_refused")
        if "has used up its memory; new workflows wait until" in answer["message"]:
            break
    else:
        raise AssertionError(f"the server itself was never asked: {answer}")
    status, answer = program.post(f"/workflows/{accepted}/signal", {"name": "go", "payload": "early"})
    assert (status, answer["code"]) == (503, "write_refused")
    assert answer["retry_after_s"] >= 1
    program.refused(6, "maxmemory", "signal", accepted, "go")
