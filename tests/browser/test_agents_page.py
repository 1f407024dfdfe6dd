"""The agents' page: health that means work, search, pause with a reason, test calls."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.repairs import api
from tests.stack import ROOT, Stack, wait_until

pytestmark = pytest.mark.once

SLOW = 20_000


@pytest.fixture
def worker(stack: Stack) -> Iterator[tuple[int, str]]:
    """An instance of its own for one type: its process and its name in the registry."""
    command = [sys.executable, "manage.py", "run_agent", "bad_hang", "--name", "hanger"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=stack.environ, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    found: list[str] = []

    def registered() -> bool:
        found[:] = [one["id"] for one in api(stack, "/agents") if one["pid"] == process.pid]
        return bool(found)

    try:
        wait_until(registered, 60)
        yield process.pid, found[0]
    finally:
        process.kill()
        process.wait()


def test_health_means_work(page: Page, stack: Stack, worker: tuple[int, str]) -> None:
    pid, instance = worker
    page.goto(f"{stack.url}/agents/?q=hanger")
    row = page.locator("#type-bad_hang tr.inst", has_text="hanger")
    expect(row).to_contain_text("Ready")
    expect(row).to_contain_text("beats · last done never")
    # it beats on while its only thread hangs beyond the time limit
    call = {"task_type": "bad_hang", "payload": 9, "timeout_s": 1, "agent": instance}
    workflow = api(stack, "/workflows", {"type": "agent_test_call", "input": call})["id"]
    expect(row.locator(".chip.tone-waiting")).to_have_text("Beats but finishes nothing", timeout=SLOW)
    expect(page.locator("#ag-list .lede")).to_contain_text("finishes nothing")
    api(stack, f"/agents/{instance}/drain", {})
    expect(row).to_contain_text("draining, 1 left")
    api(stack, f"/workflows/{workflow}/cancel", {})
    expect(row).to_contain_text("drained", timeout=SLOW)  # the thread came back
    expect(row.locator(".chip")).to_have_text("Draining")
    # a stopped process does not beat
    os.kill(pid, signal.SIGSTOP)
    expect(row.locator(".chip.tone-failed")).to_have_text("Silent", timeout=SLOW)
    expect(row).to_contain_text("no beat for")


def test_pause_with_a_reason_and_a_slow_return(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/agents/")
    row = page.locator("#type-bad_script")
    instance = row.locator("tr.inst").first
    expect(instance).to_be_hidden()
    row.get_by_label("Show the instances of bad_script").check(force=True)
    expect(instance).to_be_visible()
    row.get_by_role("button", name="Pause").click()
    page.get_by_label("Why").fill("the <b>printer</b> burns")
    page.get_by_role("button", name="Pause it").click()
    expect(row).to_contain_text("the <b>printer</b> burns")
    row.get_by_role("button", name="Resume").click()
    page.get_by_label("How fast").select_option(label="Over 30 s")
    page.get_by_role("button", name="Resume it").click()
    expect(row).to_contain_text("Coming back")
    expect(row).to_contain_text("all slots in")
    expect(row.locator("svg.spark")).to_have_count(2)
    page.locator("#ag-search").fill("bad_script")
    expect(page.locator("tbody[id^=type-]")).to_have_count(1)
    page.locator("#ag-search").fill("kind:no-such-thing")
    expect(page.locator("#ag-list")).to_contain_text("Nothing fits")


def test_a_call_to_one_instance_shows_its_outcome(page: Page, stack: Stack) -> None:
    instance = next(one["id"] for one in api(stack, "/agents") if "bad_script" in one["types"])
    page.goto(f"{stack.url}/agents/types/bad_script/test/?agent={instance}")
    expect(page.locator("#tc-agent")).to_have_value(instance)
    page.locator("form [name^=payload]").first.fill("hello")
    page.locator("[data-primary]").click()
    expect(page.locator("#tc-outcome .chip")).to_have_text("Succeeded", timeout=SLOW)
    expect(page.locator("#tc-result")).to_contain_text("document.title")
    expect(page.locator("#tc-outcome")).to_contain_text("bad-app")
