"""Steering workflows over the API and the command line, while they live and after they have ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coordination import DistributedCoordinator
from coordination.config import Config
from dashboard import accounts, tokens
from dashboard.models import AuditEntry, Workflow, WorkflowArchive
from tests import mirrored
from tests.integration.test_api import Caller
from tests.integration.test_cli import Terminal
from tests.mirrored import REPAIRED, Word, until
from tests.mirrored import sql as call

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


class MirroredTwice(DistributedCoordinator):
    """A word, then another, then a signal."""

    max_retries = 0

    async def run(self, word: Word) -> list[Any]:
        """Shout twice, the second time with a secret when there is one."""
        first = await self.dispatch_task("mirrored_shout_task", Word("first"))
        secret = await self.record("secret", lambda: {"password": word.api_key} if word.api_key else None)
        second = await self.dispatch_task("mirrored_shout_task", Word(word.word))
        return [first.text, second.text, bool(secret), self.now().timestamp() > 0]


@pytest.fixture
def operator(config: Config, transactional_db: None) -> Caller:
    return Caller()


async def _ended(operator: Caller, word: str, state: str, api_key: str = "") -> str:
    body = {"type": "mirrored_twice", "input": {"word": word, "api_key": api_key}}
    workflow_id = (await call(operator.post, "/workflows", body)).json()["id"]
    if state == "failed":
        found = await until(lambda: operator.get("/escalations").json()["items"])
        await call(operator.post, f"/escalations/{found[0]['id']}/resolve", {"action": "fail"})
    await until(lambda: Workflow.objects.filter(pk=workflow_id, state=state).exists())
    await until(lambda: WorkflowArchive.objects.filter(pk=workflow_id, journal__isnull=False).exists())
    return str(workflow_id)


async def _gone(client: Any, workflow_id: str) -> None:
    """Let Redis forget a workflow, as the relay does in time."""
    snapshot = await client.get(workflow_id)
    await client.commands.forget({workflow_id: snapshot.seq})
    assert await client.inspect.ended(workflow_id) is None


async def test_a_workflow_is_paused_resumed_restarted_and_terminated(config: Config, operator: Caller) -> None:
    async with mirrored.host_and_worker(config), mirrored.relay(config):
        body = {"type": "mirrored_wait", "input": {"word": "x"}}
        address = f"/workflows/{(await call(operator.post, '/workflows', body)).json()['id']}"
        await until(lambda: [one["kind"] for one in operator.get(f"{address}/why").json()] == ["signal"])
        assert (await call(operator.post, f"{address}/pause", {"reason": "look"})).status_code == 202
        assert (await call(operator.get, f"{address}/why")).json()[0]["paused_reason"] == "look"
        await until(lambda: operator.get(address).json()["state"] == "paused")
        await until(lambda: Workflow.objects.filter(state="paused").exists())
        preview = (await call(operator.get, f"{address}/restart-preview", step="1")).json()
        assert (preview["generation"], [one["id"] for one in preview["again"]]) == (1, ["1"])
        body = {"step": "1", "request_id": "q"}
        assert (await call(operator.post, f"{address}/restart", body)).json()["id"] in address
        assert (await call(operator.post, f"{address}/restart", {"step": "9"})).status_code == 400
        assert (await call(operator.post, f"{address}/resume")).status_code == 202
        await until(lambda: Workflow.objects.filter(state="waiting").exists() or operator.get(address).json()["state"])
        assert (await call(operator.post, f"{address}/terminate", {"reason": "enough"})).status_code == 202
        await until(lambda: Workflow.objects.filter(state="cancelled", error__contains="Terminated").exists())
        assert (await call(operator.post, f"{address}/pause")).status_code == 409
        assert (await call(operator.get, f"{address}/why")).json() == []
        assert (await call(operator.get, "/workflows/nobody/why")).status_code == 404
        viewer = await call(lambda: Caller("viewer", "read"))
        assert (await call(viewer.post, f"{address}/terminate")).status_code == 403
        words = await call(lambda: list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)))
        done = [word for word in words if word.startswith("workflow.") and word != "workflow.submit"]
        assert done == [f"workflow.{verb}" for verb in ("pause", "restart", "resume", "terminate")]


async def test_an_ended_workflow_is_restarted_and_rerun_from_the_history(config: Config, operator: Caller) -> None:
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        identity = await _ended(operator, "bad-again", "failed")
        await _gone(client, identity)
        preview = (await call(operator.get, f"/workflows/{identity}/restart-preview", step="3")).json()
        assert preview["new_workflow"] and preview["refused"] == ""
        assert [one["id"] for one in preview["kept"]] == ["1", "2"]
        assert [(one["id"], one["has_run"]) for one in preview["again"]] == [("3", True)]
        REPAIRED.add("bad-again")
        body = {"step": "3", "request_id": "once"}
        new_id = (await call(operator.post, f"/workflows/{identity}/restart", body)).json()["id"]
        assert (await call(operator.post, f"/workflows/{identity}/restart", body)).json()["id"] == new_id != identity
        ended = (await call(operator.get, f"/workflows/{new_id}/result", wait_s=10)).json()
        assert ended["result"] == ["FIRST", "BAD-AGAIN", False, True]
        row = await until(lambda: Workflow.objects.filter(pk=new_id, state="completed").first())
        assert row.labels == {"restarted_from": identity, "restarted_step": "3"}
        full = (await call(operator.get, f"/workflows/{new_id}", include="journal")).json()
        assert [one["kind"] for one in full["journal"]].count("attempt") == 2  # the first one was kept
        again = (await call(operator.post, f"/workflows/{identity}/rerun", {"request_id": "r"})).json()["id"]
        assert (await call(operator.post, f"/workflows/{identity}/rerun", {"request_id": "r"})).json()["id"] == again
        assert (await call(operator.get, f"/workflows/{again}/result", wait_s=10)).json()["state"] == "completed"


@pytest.mark.once
async def test_what_the_history_has_taken_out_is_refused_in_words(config: Config, operator: Caller) -> None:
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        identity = await _ended(operator, "ok", "completed", api_key="hunter2")
        await _gone(client, identity)
        refused = await call(operator.post, f"/workflows/{identity}/restart", {"step": "3"})
        assert refused.status_code == 400 and "without its secrets" in refused.json()["message"]
        preview = (await call(operator.get, f"/workflows/{identity}/restart-preview", step="3")).json()
        assert "without its secrets" in preview["refused"]
        assert (await call(operator.post, f"/workflows/{identity}/rerun")).status_code == 400


@pytest.mark.once
async def test_the_command_line_steers(config: Config, live_server: Any, tmp_path: Path) -> None:
    _, raw = await call(lambda: tokens.create(accounts.ensure_admin(), "test", "admin"))
    terminal = Terminal(live_server.url, raw, tmp_path)
    async with mirrored.host_and_worker(config) as client:
        identity = await client.submit("mirrored_wait", Word("x"))
        await mirrored.until(lambda: True)
        assert (await terminal.run("pause", identity, "--reason", "look")).returncode == 0
        shown = await terminal.run("why", identity)
        assert "paused" in shown.stdout and "paused_by" in shown.stdout, shown.stderr
        dry = await terminal.run("restart", identity, "1", "--dry-run")
        assert "again" in dry.stdout, dry.stderr
        assert (await terminal.run("restart", identity, "1")).stdout.strip() == identity
        assert (await terminal.run("resume", identity)).returncode == 0
        assert (await terminal.run("terminate", identity)).returncode == 0
        assert (await terminal.run("pause-type", "mirrored_shout_task")).returncode == 0
        assert (await terminal.run("resume-type", "mirrored_shout_task", "--ramp", "5")).returncode == 0
        [agent] = await client.inspect.agents()
        assert (await terminal.run("drain", agent.id)).returncode == 0
        assert (await terminal.run("drain", agent.id, "--undo")).returncode == 0
        assert (await terminal.run("rerun", identity)).stdout.strip() not in ("", identity)
