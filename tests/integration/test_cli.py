"""The command line as a program, against a real console."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coordination.config import Config
from dashboard import accounts, tokens
from dashboard.models import Escalation, Workflow
from tests import mirrored
from tests.mirrored import Word, sql, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


class Terminal:
    """Runs ``ganglion`` as a person would."""

    def __init__(self, url: str, token: str, home: Path) -> None:
        self.environ = {"PATH": os.environ["PATH"], "GANGLION_URL": url, "GANGLION_TOKEN": token, "COLUMNS": "160"}
        self.environ["GANGLION_HOME"] = str(home)

    async def run(self, *arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        def ran() -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "dashboard.cli", *arguments]
            merged = {**self.environ, **environ}
            return subprocess.run(command, input=stdin, capture_output=True, text=True, env=merged, check=False)

        return await asyncio.to_thread(ran)

    async def json(self, *arguments: str) -> Any:
        ran = await self.run(*arguments)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)


@pytest.fixture
def terminal(config: Config, live_server: Any, tmp_path: Path) -> Terminal:
    _, raw = tokens.create(accounts.ensure_admin(), "test", "admin")
    return Terminal(live_server.url, raw, tmp_path)


async def test_submit_watch_result_list(config: Config, terminal: Terminal, tmp_path: Path) -> None:
    async with mirrored.host_and_worker(config), mirrored.relay(config):
        done = await terminal.run("submit", "mirrored_shout", '{"word": "hello"}', "--wait", "--label", "team=blue")
        assert json.loads(done.stdout) == {"text": "HELLO", "length": 5}
        source = tmp_path / "input.json"
        source.write_text('{"word": "file"}')
        workflow_id = (await terminal.run("submit", "mirrored_shout", f"@{source}")).stdout.strip()
        watched = await terminal.run("watch", workflow_id)
        assert watched.returncode == 0
        assert "completed" in watched.stdout
        piped = await terminal.run("submit", "mirrored_shout", "@-", "--json", stdin='{"word": "pipe"}')
        assert json.loads(piped.stdout)["id"]
        await until(lambda: Workflow.objects.filter(state="completed").count() == 3)
        page = await terminal.json("list", "--state", "completed", "--json")
        assert page["total"] == 3
        shown = await terminal.run("list", "-q", "file")
        assert workflow_id in shown.stdout
        one = await terminal.run("get", workflow_id, "--journal")
        assert "mirrored_shout_task" in one.stdout
        assert "finished" in one.stdout


async def test_signal_cancel_and_their_exit_codes(config: Config, terminal: Terminal) -> None:
    async with mirrored.host_and_worker(config):
        first = (await terminal.run("submit", "mirrored_wait", '{"word": "x"}')).stdout.strip()
        early = await terminal.run("result", first)
        assert (early.returncode, early.stdout) == (7, "")
        assert "no result yet" in early.stderr
        assert (await terminal.run("signal", first, "go", '"now"')).returncode == 0
        assert json.loads((await terminal.run("result", first, "--wait")).stdout) == "now"
        second = (await terminal.run("submit", "mirrored_wait", '{"word": "x"}')).stdout.strip()
        assert (await terminal.run("cancel", second, "--reason", "enough")).returncode == 0
        ended = await terminal.run("result", second, "--wait")
        assert ended.returncode == 1
        assert "was cancelled" in ended.stderr
        assert (await terminal.run("cancel", second)).returncode == 5


async def test_escalations_are_resolved(config: Config, terminal: Terminal) -> None:
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        workflow_id = await client.submit("mirrored_ask", Word("rhythm"))
        found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
        assert "How is rhythm spelt?" in (await terminal.run("escalations")).stdout
        assert "--action supply|skip|fail" in (await terminal.run("escalation", found.id)).stdout
        wrong = await terminal.run("resolve", found.id, "--action", "supply", "--payload", "{}")
        assert wrong.returncode == 2
        assert "required" in wrong.stderr
        payload = '{"text": "so", "length": 2}'
        right = await terminal.run("resolve", found.id, "--action", "supply", "--payload", payload)
        assert right.stdout.strip() == "accepted"
        assert await client.result(workflow_id, timeout_s=10) == "so"
        assert (await terminal.run("resolve", found.id, "--action", "fail")).returncode == 5


async def test_the_system(config: Config, terminal: Terminal) -> None:
    async with mirrored.host_and_worker(config):
        assert (await terminal.json("agents", "--json"))[0]["types"] == ["mirrored_shout_task"]
        assert (await terminal.json("coordinators", "--json"))[0]["alive"]
        assert any(queue["type"] == "mirrored_shout_task" for queue in await terminal.json("queues", "--json"))
        assert any(item["type"] == "mirrored_shout" for item in await terminal.json("types", "--json"))
        assert (await terminal.json("status"))["connected"]
        for command in ("agents", "coordinators", "queues", "types"):
            assert (await terminal.run(command)).returncode == 0


async def test_what_goes_wrong_is_one_line_and_a_code(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "empty.pdf").write_bytes(b"")
    cases: list[tuple[list[str], dict[str, str], int, str]] = [
        (["get", "none"], {}, 3, "There is no workflow 'none'"),
        (["submit", "mirrored_shuot"], {}, 2, "Did you mean"),
        (["submit", "mirrored_shout", '{"word": 1}'], {}, 2, "does not fit"),
        (["submit", "mirrored_shout", "{"], {}, 2, "is no JSON"),
        (["run", "legal-review", str(tmp_path / "none.pdf")], {}, 2, "cannot be read"),
        (["run", "legal-review", str(tmp_path / "empty.pdf")], {}, 2, "is empty"),
        (["run", "shipments"], {}, 2, "either a CSV file or --sample"),
        (["list"], {"GANGLION_TOKEN": "gang_x"}, 4, "valid token"),
        (["list"], {"GANGLION_TOKEN": ""}, 4, "There is no token"),
        (["list"], {"GANGLION_URL": "http://127.0.0.1:1"}, 6, "does not answer"),
        (["list"], {"GANGLION_URL": "nonsense"}, 2, "is no address"),
        (["bogus"], {}, 2, "No such command"),
    ]
    for arguments, environ, code, words in cases:
        ran = await terminal.run(*arguments, **environ)
        assert (ran.returncode, ran.stdout) == (code, ""), (arguments, ran.stderr)
        assert words in ran.stderr
        assert len(ran.stderr.splitlines()) == 1, ran.stderr


async def test_the_token_file_is_enough_on_this_machine(config: Config, terminal: Terminal) -> None:
    await sql(lambda: tokens.ensure_cli_token(accounts.ensure_admin()))
    ran = await terminal.run("list", GANGLION_TOKEN="", GANGLION_HOME=str(config.home))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "No workflow matches."
