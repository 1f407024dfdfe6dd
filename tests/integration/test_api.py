"""The API over HTTP-like calls, against a real host, worker, relay and database."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache.backends.locmem import LocMemCache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from coordination.config import Config
from dashboard import accounts, tokens
from dashboard.models import ApiToken, AuditEntry, Decision, Escalation, Workflow
from tests import mirrored
from tests.mirrored import Word, until
from tests.mirrored import sql as call

pytestmark = pytest.mark.django_db(transaction=True)

ENCRYPTED = Path(__file__).resolve().parents[2] / "examples/legal_review/samples/encrypted-purchase.pdf"


class Caller:
    """A program with a token."""

    def __init__(self, role: str = "operator", scope: str = "operate") -> None:
        self.user = User.objects.get_or_create(username=f"the-{role}")[0]
        self.user.groups.set([Group.objects.get(name=role)])
        self.user = User.objects.get(pk=self.user.pk)
        self.token, self.text = tokens.create(self.user, "test", scope)
        self.http = Client(headers={"authorization": f"Bearer {self.text}"}, raise_request_exception=False)

    def get(self, path: str, **query: Any) -> Any:
        return self.http.get(f"/api{path}", query)

    def post(self, path: str, body: Any = None) -> Any:
        return self.http.post(f"/api{path}", json.dumps(body), content_type="application/json")


@pytest.fixture
def operator(config: Config, transactional_db: None) -> Caller:
    return Caller()


async def test_a_workflow_from_submit_to_result(config: Config, operator: Caller) -> None:
    async with mirrored.host_and_worker(config), mirrored.relay(config):
        body = {"type": "mirrored_shout", "input": {"word": "hello"}, "key": "k1", "labels": {"team": "blue"}}
        accepted = await call(operator.post, "/workflows", body)
        assert accepted.status_code == 201, accepted.content
        workflow_id = accepted.json()["id"]
        again = await call(operator.post, "/workflows", body)
        assert again.json()["id"] == workflow_id

        ended = await call(operator.get, f"/workflows/{workflow_id}/result", wait_s=10)
        assert ended.status_code == 200, ended.content
        assert ended.json()["result"] == {"text": "HELLO", "length": 5}

        await until(lambda: Workflow.objects.filter(pk=workflow_id, state="completed").exists())
        full = (await call(operator.get, f"/workflows/{workflow_id}", include="journal")).json()
        assert full["steps"][0]["state"] == "succeeded"
        assert full["journal"][-1]["kind"] == "finished"

        page = (await call(operator.get, "/workflows", q="hel", state="completed")).json()
        assert [item["id"] for item in page["items"]] == [workflow_id]


async def test_signal_cancel_and_what_has_ended(config: Config, operator: Caller) -> None:
    async with mirrored.host_and_worker(config), mirrored.relay(config):
        first = (await call(operator.post, "/workflows", {"type": "mirrored_wait", "input": {"word": "x"}})).json()[
            "id"
        ]
        pending = await call(operator.get, f"/workflows/{first}/result")
        assert (pending.status_code, pending.json()["code"]) == (202, "result_pending")
        sent = await call(operator.post, f"/workflows/{first}/signal", {"name": "go", "payload": "now"})
        assert sent.status_code == 204
        assert (await call(operator.get, f"/workflows/{first}/result", wait_s=10)).json()["result"] == "now"

        second = (await call(operator.post, "/workflows", {"type": "mirrored_wait", "input": {"word": "y"}})).json()[
            "id"
        ]
        assert (await call(operator.post, f"/workflows/{second}/cancel", {"reason": "enough"})).status_code == 202
        ended = await call(operator.get, f"/workflows/{second}/result", wait_s=10)
        assert ended.json()["state"] == "cancelled"
        late = await call(operator.post, f"/workflows/{second}/cancel", {})
        assert (late.status_code, late.json()["code"]) == (409, "workflow_finished")
    actions = await call(lambda: list(AuditEntry.objects.values_list("action", flat=True)))
    assert actions.count("workflow.submit") == 2
    assert actions.count("workflow.cancel") == 1  # the refused one left no entry


async def test_an_escalation_is_claimed_and_decided_once(config: Config, operator: Caller) -> None:
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        workflow_id = await client.submit("mirrored_ask", Word("rhythm"))
        found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
        listed = (await call(operator.get, "/escalations")).json()
        assert [item["id"] for item in listed["items"]] == [found.id]
        shown = (await call(operator.get, f"/escalations/{found.id}")).json()
        assert shown["actions"] == ["supply", "skip", "fail"]

        rival = await call(Caller, "admin", "admin")
        assert (await call(operator.post, f"/escalations/{found.id}/claim")).json()["claimed_by"] == "the-operator"
        refused = await call(rival.post, f"/escalations/{found.id}/claim")
        assert (refused.status_code, refused.json()["code"]) == (409, "decision_conflict")

        wrong = {"action": "supply", "payload": {"text": 5}}
        answer = await call(operator.post, f"/escalations/{found.id}/resolve", wrong)
        assert answer.status_code == 422
        assert answer.json()["fields"] == {"length": ["This field is required."], "text": ["Enter text."]}

        right = {"action": "supply", "payload": {"text": "r-h-y-t-h-m", "length": 6}, "comment": "looked it up"}
        both = await asyncio.gather(*(call(operator.post, f"/escalations/{found.id}/resolve", right) for _ in range(2)))
        assert [answer.status_code for answer in both] == [200, 200]
        assert await client.result(workflow_id, timeout_s=10) == "r-h-y-t-h-m"
        assert await call(Decision.objects.filter(state="accepted").count) >= 1
        row = await until(lambda: Escalation.objects.filter(pk=found.id, state="resolved").first())
        assert (row.action, row.resolved_by, row.outcome) == ("supply", "the-operator", "succeeded")
        late = await call(rival.post, f"/escalations/{found.id}/resolve", {"action": "fail"})
        assert late.status_code == 409


async def test_agents_queues_and_coordinators(config: Config, operator: Caller) -> None:
    async with mirrored.host_and_worker(config):
        agents = (await call(operator.get, "/agents")).json()
        assert [agent["types"] for agent in agents] == [["mirrored_shout_task"]]
        assert (await call(operator.get, "/coordinators")).json()[0]["alive"] is True
        assert (await call(operator.post, "/queues/mirrored_shout_task/pause", {"reason": "lunch"})).status_code == 202
        queues = {queue["type"]: queue for queue in (await call(operator.get, "/queues")).json()}
        assert queues["mirrored_shout_task"]["paused_by"] == "the-operator"
        assert (await call(operator.post, "/queues/mirrored_shout_task/resume")).status_code == 202
        assert (await call(operator.post, f"/agents/{agents[0]['id']}/drain")).status_code == 202
        assert (await call(operator.post, "/agents/nobody/drain")).status_code == 400
        assert (await call(operator.get, "/agents/nobody")).status_code == 404
        assert (await call(operator.get, "/status")).json()["connected"] is True


def test_errors_have_one_shape(operator: Caller) -> None:
    cases = [
        (operator.get("/workflows/none"), 404, "workflow_not_found"),
        (operator.post("/workflows", {"type": "mirrored_shuot"}), 422, "unknown_workflow_type"),
        (operator.post("/workflows", {"type": "mirrored_shout", "input": {"word": 5}}), 422, "invalid_payload"),
        (operator.post("/workflows", {"typ": "x"}), 422, "invalid_request"),
        (
            operator.post("/workflows", {"type": "mirrored_shout", "input": {"word": "x" * 1_100_000}}),
            413,
            "payload_too_large",
        ),
        (operator.post("/workflows/none/cancel"), 404, "workflow_not_found"),
        (operator.get("/escalations/none"), 404, "escalation_not_found"),
        (operator.get("/nothing/here"), 404, "not_found"),
        (operator.http.post("/api/workflows", "{", content_type="application/json"), 400, "bad_request"),
        (
            operator.post("/schedules", {"name": "n", "workflow_type": "mirrored_shout", "cron": "* * * * *"}),
            403,
            "forbidden",
        ),
        (operator.http.delete("/api/workflows"), 405, "method_not_allowed"),
        (operator.post("/workflows", {"type": "mirrored_shout", "input": "x" * 3_000_000}), 413, "payload_too_large"),
        (operator.http.get("/api/workflows/%00"), 404, "not_found"),
        (operator.get("/workflows", limit=9999), 422, "invalid_request"),
        (operator.get("/workflows", state="runing"), 422, "invalid_request"),
        (operator.get("/workflows", sort="-colour"), 422, "invalid_request"),
        (operator.get("/workflows", since="yesterday"), 422, "invalid_request"),
        (operator.get("/escalations", state="shut"), 422, "invalid_request"),
        (operator.post("/workflows", {"type": "mirrored_shout", "kye": "misspelt"}), 422, "invalid_request"),
        (operator.post("/workflows", {"type": "agent_test_call", "input": {"task_type": ""}}), 422, "invalid_payload"),
    ]
    assert operator.get("/workflows", q="\x00", type="\x00").status_code == 200
    narrowed = operator.get("/workflows", state="running,failed", sort="-finished", needs="human", since="2026-01-01")
    assert narrowed.status_code == 200, narrowed.content
    for answer, status, code in cases:
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
        assert answer.json()["message"]
        assert b"Traceback" not in answer.content
    assert "mirrored_shout" in cases[1][0].json()["message"]


def test_a_server_that_is_away_is_told_as_such(
    operator: Caller, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coordination import config as coordination_config

    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    coordination_config.current.cache_clear()
    answer = operator.post("/workflows", {"type": "mirrored_shout", "input": {"word": "x"}})
    assert (answer.status_code, answer.json()["code"]) == (503, "server_unavailable")
    assert answer["Retry-After"] == "1"
    assert operator.get("/workflows").status_code == 200  # the history is still there


def test_who_may_call(operator: Caller) -> None:
    stranger = Client()
    assert stranger.get("/api/workflows").status_code == 401
    assert stranger.get("/api/workflows").json()["code"] == "unauthenticated"
    wrong = Client(headers={"authorization": f"Bearer {operator.text}x"})
    assert wrong.get("/api/workflows").status_code == 401

    reader = Caller("operator", "read")
    assert reader.get("/workflows").status_code == 200
    refused = reader.post("/workflows", {"type": "mirrored_shout"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")

    tokens.revoke(reader.token, reader.user)
    assert reader.get("/workflows").status_code == 401

    operator.user.groups.set([Group.objects.get(name="viewer")])  # the scope never goes beyond the role
    assert operator.post("/workflows", {"type": "mirrored_shout"}).status_code == 403
    User.objects.filter(pk=operator.user.pk).update(is_active=False)
    assert operator.get("/workflows").status_code == 401


def test_an_expired_token_is_refused(operator: Caller) -> None:
    ApiToken.objects.filter(pk=operator.token.pk).update(expires_at="2020-01-01T00:00:00Z")
    assert operator.get("/workflows").status_code == 401


def test_a_session_needs_a_csrf_token(operator: Caller) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator.user)
    body = json.dumps({"type": "mirrored_wait", "input": {"word": "x"}})
    assert browser.get("/api/workflows").status_code == 200
    assert browser.post("/api/workflows", body, content_type="application/json").status_code == 403
    browser.get("/settings/")  # sets the cookie
    value = browser.cookies["ganglion_csrf"].value if "ganglion_csrf" in browser.cookies else ""
    sent = browser.post("/api/workflows", body, content_type="application/json", headers={"x-csrftoken": value})
    assert sent.status_code == 201, sent.content


def test_calls_are_limited(operator: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.api.limits.check.__defaults__", (3,))
    monkeypatch.setattr("dashboard.api.limits.cache", LocMemCache("calls", {}))
    answers = [operator.get("/workflows") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1]["Retry-After"]) >= 1


def test_documents_are_checked_before_they_are_stored(operator: Caller) -> None:
    def send(name: str, data: bytes, kinds: str = "pdf,docx,txt") -> Any:
        return operator.http.post(f"/api/documents?kinds={kinds}", {"file": SimpleUploadedFile(name, data)})

    stored = send("contract.txt", b"This agreement ...")
    assert stored.status_code == 201, stored.content
    assert stored.json()["name"] == "contract.txt"
    cases = {
        ("empty.txt", b""): "is empty",
        ("image.png", b"\x89PNG\x00\x00"): "cannot be read",
        ("contract.pdf", b"\x89PNG\r\n\x1a\n"): "is a picture that cannot be read. Use PDF",
        ("contract.doc", b"\xd0\xcf\x11\xe0 old"): "old Office program",
        ("locked.pdf", ENCRYPTED.read_bytes()): "is encrypted. Remove its password",
        ("broken.pdf", b"%PDF-1.7 nothing more"): "damaged PDF",
    }
    for (name, data), words in cases.items():
        answer = send(name, data)
        assert answer.status_code == 422
        assert words in answer.json()["message"]
    assert send("feed.csv", b"a,b\n\x00\xff\x00\nc,d", "csv").status_code == 201  # a broken row is no broken feed
    assert send("feed.csv", b"a,b", "pdf").json()["message"] == "feed.csv looks like CSV. Use PDF."


def test_schedules(operator: Caller) -> None:
    admin = Caller("admin", "admin")
    body = {"name": "nightly", "workflow_type": "mirrored_wait", "input": {"word": "x"}, "cron": "0 3 * * *"}
    made = admin.post("/schedules", body)
    assert made.status_code == 201, made.content
    assert made.json()["next_run_at"]
    assert admin.post("/schedules", body).status_code == 400
    assert "cron expression" in admin.post("/schedules", {**body, "name": "b", "cron": "bad"}).json()["message"]
    address = f"/api/schedules/{made.json()['id']}"
    changed = admin.http.put(address, json.dumps({**body, "enabled": False}), content_type="application/json")
    assert changed.json()["next_run_at"] is None
    assert [item["name"] for item in operator.get("/schedules").json()] == ["nightly"]
    assert admin.http.delete(address).status_code == 204
    assert admin.http.delete(address).json()["code"] == "not_found"


def test_the_description_and_its_page(operator: Caller) -> None:
    described = operator.http.get("/api/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert "/api/workflows/{workflow_id}/signal" in described["paths"]
    browser = Client()
    browser.force_login(accounts.ensure_admin())
    page = browser.get("/api/docs")
    assert page.status_code == 200
    assert b"/api/escalations/{escalation_id}/resolve" in page.content
    assert b"<script>" not in page.content
    assert b"style=" not in page.content


def test_a_remote_agent_on_this_machine_is_refused(config: Config, transactional_db: None) -> None:
    admin = Caller("admin", "admin")
    body = {"name": "inside", "url": "http://169.254.169.254/latest", "types": ["peek"]}
    answer = admin.post("/remote-agents", body)
    assert answer.status_code == 400, answer.content
    assert set(answer.json()) == {"code", "message"}
    assert admin.get("/remote-agents").json() == []
