"""What people see of bad input, of agents that misbehave and of servers that are away: in pages, API and CLI."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from tests import servers
from tests.a2a_peer import Peer
from tests.bad_app.agents import SCRIPT
from tests.browser.console import ended, in_order, instruct_nothing, reviewed, sign_in
from tests.browser.program import Program, refused_by_the_server, refused_early
from tests.stack import Stack, wait_until

SLOW = 30_000
MIB = 1_048_576


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Ganglion with an application of bad agents, whose gateway may call this machine."""
    with servers.folder() as folder:
        running = Stack(
            folder, servers.spare_port(), GANGLION_EXTRA_APPS="tests.bad_app", GANGLION_DEBUG="1",
            GANGLION_BACKOFF_S="0.2",
        )  # fmt: skip
        with in_order(running):
            yield running


@pytest.fixture(scope="module")
def signed_in(stack: Stack, browser: Browser) -> Path:
    return sign_in(stack, browser)


@pytest.fixture
def program(stack: Stack, page: Page) -> Program:
    return Program(stack, page)


def escalation_of(page: Page, stack: Stack, workflow: str) -> None:
    """Go to the escalation of a workflow by the page's own button."""
    page.goto(f"{stack.url}/workflows/{workflow}/")
    expect(page.locator("#wf-head .chip").first).to_have_text("Needs a human", timeout=SLOW)
    page.locator("#wf-head a.button-primary").first.click()
    expect(page.locator("#esc-status")).to_be_visible()


@pytest.mark.parametrize(
    ("task", "limit_s", "words"),
    [
        ("bad_shape", 30.0, "bad_shape"),
        ("bad_raise", 30.0, "hello broke <script>"),
        ("bad_silence", 0.5, "did not finish"),
    ],
)
def test_what_agents_do_wrong_comes_to_people(
    page: Page, stack: Stack, program: Program, task: str, limit_s: float, words: str
) -> None:
    workflow = program.submit("bad_agent", {"task": task, "timeout_s": limit_s})
    escalation_of(page, stack, workflow)
    expect(page.locator("main")).to_contain_text(words)
    assert "broken" not in page.title()
    page.get_by_role("link", name=re.compile("Supply")).click()
    page.get_by_label("Text").fill(SCRIPT)
    with page.expect_event("load"):  # the live page may show the outcome before the answer is there
        page.locator("[data-primary]").click()
    expect(page.locator("#esc-status")).to_contain_text("The step succeeded", timeout=SLOW)
    page.goto(f"{stack.url}/workflows/{workflow}/?tab=data")
    expect(page.locator("#wf-result")).to_contain_text(SCRIPT)
    assert "broken" not in page.title()


def test_a_script_that_an_agent_gives_is_text(page: Page, stack: Stack, program: Program) -> None:
    workflow = program.submit("bad_agent", {"task": "bad_script"})
    assert program.get(f"/workflows/{workflow}/result?wait_s=20")[1]["result"]["text"] == SCRIPT
    assert json.loads(program.cli("result", workflow, "--wait").stdout)["text"] == SCRIPT
    for tab in ("steps", "timeline", "journal", "data"):
        page.goto(f"{stack.url}/workflows/{workflow}/?tab={tab}")
        expect(page.locator("#live-state")).to_have_attribute("data-live", "live")
        assert "broken" not in page.title()
    expect(page.locator("#wf-result")).to_contain_text(SCRIPT)
    instruct_nothing(page)
    saved = page.request.get(f"{stack.url}/workflows/{workflow}/result.json")
    assert saved.headers["content-type"] == "application/json"
    assert saved.headers["content-disposition"].startswith("attachment")
    assert saved.json()["text"] == SCRIPT


def test_too_large(page: Page, stack: Stack, program: Program, tmp_path: Path) -> None:
    status, answer = program.post("/workflows", {"type": "bad_agent", "input": {"task": "x", "word": "y" * 1_100_000}})
    assert (status, answer["code"]) == (413, "payload_too_large")
    large = tmp_path / "large.json"
    large.write_text(json.dumps({"task": "x", "word": "y" * 1_100_000}))
    program.refused(2, "bytes", "submit", "bad_agent", f"@{large}")
    file = tmp_path / "large.txt"
    file.write_bytes(b"This agreement. " * 2_200_000)
    program.refused(2, "large.txt", "run", "legal-review", str(file))
    page.goto(f"{stack.url}/runs/legal-review/")
    page.get_by_label("Contract", exact=True).set_input_files(file)
    page.get_by_role("button", name="Start the review").click()
    expect(page.locator(".field[data-invalid] .error")).to_contain_text("MiB", timeout=SLOW)
    file = file.rename(tmp_path / "large.csv")
    page.goto(f"{stack.url}/runs/shipments/start/")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Upload and start").click()
    expect(page.locator(".field[data-invalid]")).to_contain_text("MiB", timeout=SLOW)


def test_new_work_is_refused_while_memory_is_short(page: Page, stack: Stack, program: Program) -> None:
    server = redis.Redis(unix_socket_path=str(stack.home / "redis.sock"))
    accepted = program.submit("bad_wait", None)
    server.setrange("filler", 64 * MIB, "x")  # so that a share of maxmemory is more than what comes and goes meanwhile
    try:
        server.config_set("maxmemory", int(server.info("memory")["used_memory"]) + 4 * MIB)
        status, answer = refused_early(program)
        assert (status, answer["code"]) == (429, "admission_refused")
        assert answer["retry_after_s"] >= 1
        program.refused(8, "retry after", "submit", "bad_wait")
        page.goto(f"{stack.url}/runs/legal-review/")
        page.get_by_label("Or paste its text").fill("This agreement is made between two parties.")
        page.get_by_role("button", name="Start the review").click()
        expect(page.get_by_role("alert").filter(has_text="try again in")).to_be_visible()
        expect(page.get_by_label("Or paste its text")).to_have_value("This agreement is made between two parties.")
        page.goto(f"{stack.url}/runs/shipments/start/")
        page.locator("textarea").fill("NORDEX;NX4982070000;PICKED_UP;2026-11-04T09:30:00+01:00")
        page.get_by_role("button", name="Start these rows").click()
        expect(page.get_by_role("alert").filter(has_text="new workflows wait until")).to_be_visible()
        refused_by_the_server(server, program, accepted)
        page.goto(f"{stack.url}/workflows/{accepted}/")
        page.get_by_role("button", name="Cancel", exact=True).click()
        page.get_by_role("button", name="Cancel it").click()
        expect(page.locator("body")).to_contain_text("refuses writes until")
    finally:
        server.config_set("maxmemory", 0)
        server.delete("filler")
    wait_until(lambda: program.post(f"/workflows/{accepted}/signal", {"name": "go", "payload": "on"})[0] == 204, 30)
    assert program.get(f"/workflows/{accepted}/result?wait_s=20")[1]["result"] == "on"
    assert "Traceback" not in stack.log


@pytest.mark.long
def test_a_server_that_stands_still_is_said_and_nothing_is_lost(page: Page, stack: Stack, program: Program) -> None:
    slow = program.submit("bad_slow", 2.0)
    waiting = program.submit("bad_wait", None)
    page.goto(f"{stack.url}/workflows/{waiting}/")
    expect(page.locator("#live-state")).to_have_attribute("data-live", "live")
    server = redis.Redis(unix_socket_path=str(stack.home / "redis.sock"))
    pid = int(server.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        expect(page.locator("body")).to_contain_text("Redis does not answer", timeout=SLOW)
        status, answer = program.post("/workflows", {"type": "bad_wait", "key": "while-away"})
        assert (status, answer["code"]) in ((503, "server_unavailable"), (503, "outcome_unknown"))
        assert program.get("/workflows")[0] == 200
        program.refused(6, "Redis", "submit", "bad_wait", "--key", "while-away")
        page.goto(f"{stack.url}/runs/legal-review/")
        page.get_by_label("Or paste its text").fill("This agreement is made between two parties.")
        page.get_by_role("button", name="Start the review").click()
        expect(page.locator("main")).to_contain_text("Redis", timeout=60_000)
        expect(page.get_by_label("Or paste its text")).to_have_value("This agreement is made between two parties.")
        for path in ("/", "/workflows/", f"/workflows/{waiting}/", "/agents/", "/coordinators/", "/escalations/"):
            shown = page.goto(stack.url + path, timeout=60_000)
            assert shown is not None and shown.status == 200, path
        expect(page.locator("body")).to_contain_text("Redis does not answer")
    finally:
        os.kill(pid, signal.SIGCONT)
    expect(page.locator("body")).not_to_contain_text("Redis does not answer", timeout=SLOW)
    first, second = (program.post("/workflows", {"type": "bad_wait", "key": "while-away"}) for _ in range(2))
    assert first[1]["id"] == second[1]["id"]
    assert program.post(f"/workflows/{waiting}/signal", {"name": "go", "payload": "on"})[0] == 204
    assert program.get(f"/workflows/{waiting}/result?wait_s=30")[1]["result"] == "on"
    assert program.get(f"/workflows/{slow}/result?wait_s=30")[1]["result"]["text"] == "after 2 s"


def test_a_killed_server_loses_nothing_that_was_accepted(page: Page, stack: Stack, program: Program) -> None:
    waiting = [program.submit("bad_wait", None) for _ in range(10)]
    server = redis.Redis(unix_socket_path=str(stack.home / "redis.sock"))
    os.kill(int(server.info("server")["process_id"]), signal.SIGKILL)
    for workflow in waiting:
        wait_until(lambda one=workflow: program.post(f"/workflows/{one}/signal", {"name": "go"})[0] in (204, 409), 30)  # type: ignore[misc]
    for workflow in waiting:
        assert program.get(f"/workflows/{workflow}/result?wait_s=30")[1]["state"] == "completed"


def test_a_locked_history_is_said_and_nothing_is_lost(page: Page, stack: Stack, program: Program) -> None:
    slow = program.submit("bad_slow", 0.5)
    stack.manage("shell", "-c", "from dashboard.models import ApiToken; ApiToken.objects.update(last_used_at=None)")
    page.goto(f"{stack.url}/runs/legal-review/")
    with contextlib.closing(sqlite3.connect(stack.home / "ganglion.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        try:
            began = time.monotonic()
            assert program.get("/workflows")[0] == 200
            assert time.monotonic() - began < 5, "reading waited for the lock"
            status, answer = program.post("/workflows", {"type": "bad_wait"})
            assert (status, answer["code"]) == (503, "database_unavailable")
            assert program.get("/workflows")[0] == 200
            program.refused(6, "database", "submit", "bad_wait")
            page.get_by_label("Or paste its text").fill("This agreement is made between two parties.")
            page.get_by_role("button", name="Start the review").click(no_wait_after=True)
            expect(page.locator("main")).to_contain_text("The database is busy or away", timeout=60_000)
            shown = page.goto(f"{stack.url}/workflows/{slow}/", timeout=60_000)
            assert shown is not None and shown.status == 200
        finally:
            other.execute("ROLLBACK")
    assert program.get(f"/workflows/{slow}/result?wait_s=30")[1]["state"] == "completed"
    page.goto(f"{stack.url}/workflows/{slow}/")
    expect(page.locator("#wf-head .chip").first).to_have_text("Completed", timeout=SLOW)


class _Remote(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"output": {"said": given}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def remote() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Remote)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/work"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_remote_agent_is_registered_tried_and_removed_without_javascript(
    browser: Browser, signed_in: Path, stack: Stack, remote: str
) -> None:
    context = browser.new_context(storage_state=signed_in, java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{stack.url}/agents/")
    plain.locator("#register summary").click()
    plain.locator("#r-name").fill("echo")
    plain.locator("#r-url").fill(remote)
    plain.locator("#r-types").fill("echo_back")
    plain.get_by_role("button", name="Register", exact=True).click()
    expect(plain.locator("main")).to_contain_text("echo is registered")
    plain.goto(f"{stack.url}/agents/types/echo_back/test/")
    plain.locator("main textarea").first.fill('{"word": "hello"}')
    plain.locator("[data-primary]").click()
    plain.get_by_role("link", name="Open it as a workflow").click()
    ended(plain)
    plain.goto(f"{plain.url.partition('?')[0]}?tab=data")
    expect(plain.locator("#wf-result")).to_contain_text("hello")
    plain.goto(f"{stack.url}/agents/")
    plain.locator("#ag-remote").get_by_role("button", name="Remove").click()
    expect(plain.locator("main")).to_contain_text("echo is removed")
    context.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


def test_an_a2a_agent_joins_by_its_card(page: Page, stack: Stack, peer: Peer) -> None:
    peer.card = {**peer.old_card(), "name": "counter", "skills": [{"id": "count_words", "tags": ["text"]}]}
    peer.results = [{"parts": [{"kind": "data", "data": {"words": many}}]} for many in (3, 2)]
    page.goto(f"{stack.url}/agents/")
    page.get_by_role("link", name="Add an A2A agent").click()
    page.locator("#c-url").fill(peer.url)
    page.get_by_role("button", name="Read the card").click()
    expect(page.locator("#change")).to_contain_text("counter is new")
    expect(page.locator("#change .diff-new").first).to_be_visible()
    expect(page.get_by_role("button", name="Activate counter")).to_be_disabled()
    page.locator("#t-input").fill("one two three")
    page.get_by_role("button", name="Send the call").click()
    expect(page.locator("#try [role=status]")).to_contain_text(re.compile(r'counter answered in.*"words": 3', re.S))
    page.get_by_role("button", name="Activate counter").click()
    expect(page.locator("#remote-counter")).to_contain_text("A2A/0.3")
    # and the gateway takes its tasks from the queue
    page.goto(f"{stack.url}/agents/types/count_words/test/")
    page.locator("form [name^=payload]").first.fill('"a b"')
    page.locator("[data-primary]").click()
    expect(page.locator("#tc-result")).to_contain_text('"words": 2', timeout=SLOW)
    expect(page.locator("#tc-outcome")).to_contain_text("gateway-counter")
    page.goto(f"{stack.url}/agents/")
    page.locator("#remote-counter").get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator("main")).to_contain_text("counter is removed")


def test_every_action_works_without_javascript(
    browser: Browser, signed_in: Path, stack: Stack, program: Program
) -> None:
    context = browser.new_context(storage_state=signed_in, java_script_enabled=False)
    plain = context.new_page()
    # signal
    plain.goto(f"{stack.url}/workflows/{program.submit('bad_wait', None)}/")
    plain.locator("#signal summary").click()
    plain.locator("#signal-name").fill("go")
    plain.locator("#signal textarea, #signal input[name=payload]").first.fill('"now"')
    plain.get_by_role("button", name="Send", exact=True).click()
    expect(plain.locator("body")).to_contain_text("The signal go is delivered")
    ended(plain)
    # cancel
    plain.goto(f"{stack.url}/workflows/{program.submit('bad_wait', None)}/")
    plain.get_by_role("button", name="Cancel").click()
    expect(plain.locator("body")).to_contain_text("Cancellation is asked for")
    ended(plain)
    # retry now
    workflow = program.submit("bad_agent", {"task": "bad_raise", "retries": 12})
    for _ in range(60):
        plain.goto(f"{stack.url}/workflows/{workflow}/")
        if plain.get_by_role("button", name=re.compile("Retry now", re.I)).count():
            break
        plain.wait_for_timeout(250)
    plain.get_by_role("button", name=re.compile("Retry now", re.I)).first.click()
    expect(plain.locator("body")).to_contain_text("is tried again now")
    plain.goto(f"{stack.url}/workflows/{workflow}/")
    plain.get_by_role("button", name="Cancel").click()
    # pause, resume, drain
    plain.goto(f"{stack.url}/agents/")
    plain.locator("#type-bad_slow").get_by_role("button", name="Pause").click()
    expect(plain.locator("body")).to_contain_text("bad_slow is paused")
    plain.locator("#type-bad_slow").get_by_role("button", name="Resume").click()
    expect(plain.locator("body")).to_contain_text("bad_slow goes on")
    plain.locator("main a[href*='/agents/bad-app']").first.click()
    plain.get_by_role("button", name="Drain", exact=True).click()
    expect(plain.locator("body")).to_contain_text("takes nothing new")
    plain.get_by_role("button", name="Take tasks again").click()
    expect(plain.locator("body")).to_contain_text("It takes tasks again")
    # tokens, theme, logout
    plain.goto(f"{stack.url}/settings/")
    plain.locator("#token-name").fill("plain")
    plain.get_by_role("button", name="Make a token").click()
    expect(plain.locator("#new-token")).to_contain_text("gang_")
    plain.goto(f"{stack.url}/settings/")
    plain.locator("tr", has_text="plain").get_by_role("button", name="Revoke").click()
    expect(plain.locator("body")).to_contain_text("no longer works")
    plain.locator("main").get_by_role("button", name="Dark").click()
    expect(plain.locator("html")).to_have_attribute("data-theme", "dark")
    context.close()


def test_signing_out_without_javascript(browser: Browser, stack: Stack) -> None:
    said = re.search(r"http\S+", stack.manage("make_login_link", "admin", "--base-url", stack.url))
    assert said
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(said.group(0))
    plain.get_by_role("button", name="Sign in").click()
    expect(plain.locator("#main")).to_be_visible()
    plain.locator("summary[aria-label='Account and theme']").click()
    plain.get_by_role("button", name="Sign out").click()
    expect(plain).to_have_url(re.compile("/login/"))
    plain.goto(f"{stack.url}/workflows/")
    expect(plain).to_have_url(re.compile("/login/"))
    context.close()


@pytest.mark.long
def test_what_was_under_way_goes_on_after_a_stop(page: Page, stack: Stack, program: Program) -> None:
    slow, waiting = program.submit("bad_slow", 1.5), program.submit("bad_wait", None)
    asked = reviewed(page, stack, "Warehouse lease")
    assert stack.end(signal.SIGTERM) == 0
    assert not stack.left(), stack.log[-2000:]
    stack.start()
    assert program.get(f"/workflows/{slow}/result?wait_s=30")[1]["result"]["text"] == "after 1.5 s"
    assert program.get(f"/workflows/{asked}")[1]["state"] == "needs_human"
    assert program.post(f"/workflows/{waiting}/signal", {"name": "go", "payload": "on"})[0] == 204
    assert program.get(f"/workflows/{waiting}/result?wait_s=30")[1]["result"] == "on"
