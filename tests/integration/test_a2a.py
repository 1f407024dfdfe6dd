"""Agents that speak A2A: their cards, and tasks handed to them by the gateway, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.test import Client

from agents import cards, trials
from agents.addresses import AddressRefused
from agents.caller import Caller
from agents.gateway import Gateway, try_call
from agents.handlers import InvalidResult
from agents.task import Task
from coordination import client as core
from coordination import config as coordination_config
from coordination import pool
from coordination.config import Config
from coordination.connection import Connection
from coordination.domain import RemoteAgent, RemoteSkill
from coordination.errors import FinalError, RetryableError
from coordination.registry import read_agents
from dashboard import accounts, onboarding, tokens
from dashboard.models import AuditEntry
from tests.a2a_peer import Peer
from tests.agent_tasks import add, new_type, outcome

pytestmark = pytest.mark.once


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture
def debug(config: Config) -> Config:
    """These settings with calls to this machine allowed."""
    return msgspec.structs.replace(config, debug=True)


async def test_a_card_becomes_a_definition(debug: Config, peer: Peer) -> None:
    peer.card = peer.old_card()
    where, card = await cards.fetch(debug, peer.url)
    assert cards.definition(where, card) == RemoteAgent(
        name="Contract_reader",
        url=f"{peer.url}/rpc",
        types=["extract_parties", "sum"],
        protocol="a2a/0.3",
        card_url=peer.url + cards.WELL_KNOWN,
        version="2.1",
        skills={
            "extract_parties": RemoteSkill("Extract Parties", ["nda", "lease"]),
            "sum": RemoteSkill("sum", text=True),
        },
    )
    peer.card = peer.new_card()
    made = cards.definition(*await cards.fetch(debug, peer.url + cards.WELL_KNOWN))
    assert (made.url, made.protocol, made.types) == (f"{peer.url}/rpc", "a2a/1.0", ["sum"])


async def test_a_card_is_fetched_under_every_guard_of_a_call(config: Config, debug: Config, peer: Peer) -> None:
    peer.card = peer.old_card()
    with pytest.raises(AddressRefused, match="only https"):
        await cards.fetch(config, peer.url)  # not in debug
    for url in ("http://169.254.169.254/", "https://user:pw@example.com/", "file:///etc/passwd.json"):
        with pytest.raises(AddressRefused):
            await cards.fetch(debug, url)
    peer.card = b"elsewhere"
    with pytest.raises(FinalError, match="redirect"):
        await cards.fetch(debug, peer.url)
    peer.card = peer.old_card(description="x" * cards.CARD_BYTES)
    with pytest.raises(InvalidResult, match="more than"):
        await cards.fetch(debug, peer.url)
    wrongs: list[Any] = [[], {"name": 3}, b"<html>"]
    for wrong in wrongs:
        peer.card = wrong
        with pytest.raises(cards.CardRefused, match="no A2A agent card"):
            await cards.fetch(debug, peer.url)
    with pytest.raises(cards.CardRefused, match="answered 404"):
        await cards.fetch(debug, f"{peer.url}/other.json")
    for card in (
        peer.old_card(preferredTransport="GRPC"),
        peer.old_card(skills=[{"id": "a b"}, {"id": "A-b "}, {"id": "a_b"}]),
    ):
        peer.card = card
        with pytest.raises(cards.CardRefused):
            cards.definition(*await cards.fetch(debug, peer.url))


def _task(task_type: str) -> Task:
    return Task("w1", "2", 3, task_type, "w1:2:0", timeout_s=5)


async def test_a_task_is_a_message_and_its_artifact_the_result(debug: Config, peer: Peer) -> None:
    peer.card = peer.old_card()
    old = cards.definition(*await cards.fetch(debug, peer.url))
    peer.results = [
        {"kind": "task", "id": "t9", "status": {"state": "working"}},
        {"kind": "task", "id": "t9", "status": {"state": "completed"},
         "artifacts": [{"artifactId": "a", "parts": [{"kind": "data", "data": {"parties": ["Ada"]}}]}]},
        {"kind": "message", "parts": [{"kind": "text", "text": "first"}, {"kind": "text", "text": "second"}]},
    ]  # fmt: skip
    async with Caller(debug) as caller:
        assert await caller.call(old, _task("extract_parties"), {"text": "…"}) == {"parties": ["Ada"]}
        assert await caller.call(old, _task("sum"), {"n": 1}) == "first\nsecond"
        (fields, sent), (_, looked), (_, text) = peer.asked
        assert fields["idempotency-key"] == "w1:2:0"
        assert sent == {
            "jsonrpc": "2.0", "id": "w1:2:0", "method": "message/send",
            "params": {
                "message": {
                    "kind": "message", "messageId": "w1:2:0", "role": "user",
                    "parts": [{"kind": "data", "data": {"text": "…"}}],
                    "metadata": {"skillId": "Extract Parties", "workflowId": "w1", "step": "2", "attempt": 3,
                                 "taskType": "extract_parties"},
                },
                "configuration": {"acceptedOutputModes": ["application/json", "text/plain"], "blocking": True},
            },
        }  # fmt: skip
        assert (looked["method"], looked["params"]) == ("tasks/get", {"id": "t9"})
        assert text["params"]["message"]["parts"] == [{"kind": "text", "text": '{"n":1}'}]

        peer.card = peer.new_card()
        new = cards.definition(*await cards.fetch(debug, peer.url))
        done = {"id": "t", "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": [{"parts": [{"data": 7}]}]}
        peer.results = [{"task": done}]
        assert await caller.call(new, _task("sum"), [1]) == 7
        fields, sent = peer.asked[-1]
        assert (fields["a2a-version"], sent["method"]) == ("1.0", "SendMessage")
        message = sent["params"]["message"]
        assert (message["role"], message["parts"]) == ("ROLE_USER", [{"data": {"input": [1]}}])


async def test_ends_that_are_no_results(debug: Config, peer: Peer) -> None:
    remote = RemoteAgent(name="out", url=f"{peer.url}/rpc", types=["sum"], protocol="a2a/0.3", timeout_s=2)

    def ended(state: str, words: str) -> dict[str, Any]:
        return {"id": "t", "status": {"state": state, "message": {"parts": [{"kind": "text", "text": words}]}}}

    for said, kind, words in (
        (ended("failed", "no scan"), RetryableError, "no scan"),
        (ended("rejected", "not mine"), FinalError, "not mine"),
        (ended("input-required", "which one?"), FinalError, "which one"),
        (ended("auth-required", "token"), FinalError, "credentials"),
        (ended("dreaming", ""), InvalidResult, "unknown state"),
        ({"id": "t", "status": {"state": "completed"}}, InvalidResult, "without text or data"),
        ({"error": {"code": -32602, "message": "bad params"}}, FinalError, "bad params"),
        ({"error": {"code": -32603, "message": "broke"}}, RetryableError, "broke"),
    ):
        peer.results = [said]
        with pytest.raises(kind, match=words):
            await try_call(debug, remote, "sum", {"n": 1})
    peer.results = [{"id": "t", "status": {"state": "working"}}] * 20
    with pytest.raises(RetryableError, match=r"within 0\.5 s"):
        await try_call(debug, msgspec.structs.replace(remote, timeout_s=0.5), "sum", {"n": 1})


async def test_the_gateway_runs_it_through_the_queue(debug: Config, peer: Peer) -> None:
    task_type = new_type("a2a")
    peer.card = peer.old_card(skills=[{"id": task_type, "tags": ["nda"]}])
    peer.results = [{"parts": [{"text": "done"}]}]
    made = Gateway(debug)
    job = asyncio.create_task(made.run())
    async with await Connection.open(debug) as connection:
        await pool.register_remote(connection, cards.definition(*await cards.fetch(debug, peer.url)))
        workflow = await add(connection, task_type, {"name": "lease"}, requires={"tag": "nda"})
        assert (await outcome(connection, workflow)).value == "done"
        (view,) = await read_agents(connection)
        assert (view.version, view.capabilities) == ("2.1", {task_type: {"tag": ["nda"]}})
    assert peer.asked[0][1]["params"]["message"]["messageId"] == f"{workflow}:0:0"
    made.stop()
    async with asyncio.timeout(20):
        await job


@pytest.fixture
def admin(debug_settings: None, transactional_db: None) -> User:
    return accounts.ensure_admin()


@pytest.fixture
def gateway(debug: Config) -> Iterator[None]:
    """A gateway worker in a thread of its own."""
    made: list[Gateway] = []
    loops: list[asyncio.AbstractEventLoop] = []
    ready = threading.Event()

    async def run() -> None:
        made.append(Gateway(debug, ready=ready.set))
        loops.append(asyncio.get_running_loop())
        await made[0].run()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(20)
    yield
    loops[0].call_soon_threadsafe(made[0].stop)
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def debug_settings(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GANGLION_DEBUG", "1")
    coordination_config.current.cache_clear()
    yield


def test_an_agent_is_active_only_after_it_has_answered(admin: User, peer: Peer, gateway: None) -> None:
    browser = Client()
    browser.force_login(admin)
    peer.card = peer.old_card()
    page = "/agents/onboard/"

    def seen() -> Any:
        answer = browser.post(page, {"url": peer.url, "name": "reader"})
        assert answer.status_code == 200, answer.content
        return answer.context["proposal"]

    first = seen()
    assert first.registered is None and {line.kind for line in first.changes} == {"new"}
    refused = browser.post(page, {"draft": first.draft, "activate": "1"})
    assert refused.status_code == 422 and b"answered no call yet" in refused.content
    forged = browser.post(page, {"draft": first.draft[:-2] + "xx", "activate": "1"})
    assert forged.status_code == 422 and b"not one of ours" in forged.content

    peer.results = [{"id": "t", "status": {"state": "rejected", "message": {"parts": [{"text": "not today"}]}}}]
    failed = browser.post(page, {"draft": first.draft, "task_type": "sum", "input": "[1]"})
    assert failed.status_code == 422 and b"not today" in failed.content
    assert browser.post(page, {"draft": failed.context["proposal"].draft, "activate": "1"}).status_code == 422
    assert core.sync().inspect.remote_agents() == []

    peer.results = [{"parts": [{"text": "<b>6</b>"}]}]
    tried = browser.post(page, {"draft": first.draft, "task_type": "sum", "input": "[1]"})
    assert tried.status_code == 200 and b"&lt;b&gt;6" in tried.content
    assert next(sent["params"]["message"]["messageId"] for _, sent in peer.asked).startswith("test-call-")
    draft = tried.context["proposal"].draft
    other = Client()
    other.force_login(User.objects.get(pk=accounts.create_user("else", "admin", admin).pk))
    assert other.post(page, {"draft": draft, "activate": "1"}).status_code == 422
    assert browser.post(page, {"draft": draft, "activate": "1"}).status_code == 302
    (made,) = core.sync().inspect.remote_agents()
    assert (made.name, made.protocol, made.registered_by) == ("reader", "a2a/0.3", admin.get_username())
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions.count("remote_agent.try") == 2 and actions[-1] == "remote_agent.register"
    again = browser.post(page, {"draft": draft, "activate": "1"})
    assert b"changed meanwhile" in again.content  # what was compared is no longer what is there

    peer.card = peer.old_card(version="2.2")
    kinds = [line.kind for line in seen().changes]
    assert (kinds.count("old"), kinds.count("new")) == (1, 1)


def test_a_card_may_not_lead_elsewhere(admin: User, peer: Peer) -> None:
    for inside in ("http://169.254.169.254/latest/", "https://10.0.0.7/rpc"):
        peer.card = peer.old_card(url=inside)
        with pytest.raises(onboarding.CardFault):
            onboarding.propose(admin, peer.url)


def test_without_a_gateway_nobody_calls_it(admin: User, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "TAKEN_S", 0.3)
    peer.card = peer.old_card()
    draft = onboarding.propose(admin, peer.url).draft
    with pytest.raises(onboarding.CardFault, match="No gateway worker is there"):
        onboarding.attempt(admin, draft, "sum", [1])
    assert not peer.asked
    connection = core.sync().connection
    assert core.sync().call("EXISTS", connection.keys.remote_trials) == 0, "nobody makes it later"


def test_the_same_by_the_api(admin: User, peer: Peer, gateway: None) -> None:
    _, raw = tokens.create(admin, "cards", "admin")
    peer.card = peer.new_card()

    def post(path: str, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {raw}"}
        return Client().post(f"/api/agent-cards{path}", body, content_type="application/json", headers=headers)

    read = post("", url=peer.url).json()
    assert (read["agent"]["name"], read["registered"]) == ("Contract_reader", None)
    assert post("/activate", draft=read["draft"]).json()["code"] == "draft_refused"
    peer.results = [{"message": {"parts": [{"data": {"total": 6}}]}}]
    tried = post("/try", draft=read["draft"], task_type="sum", input={"numbers": [1, 2, 3]}).json()
    assert tried["output"] == {"total": 6}
    done = post("/activate", draft=tried["draft"])
    assert (done.status_code, done.json()["protocol"]) == (201, "a2a/1.0")
    headers = {"authorization": f"Bearer {raw}"}
    assert Client().get("/api/agents?q=kind:none", headers=headers).json() == []
    assert post("", url="http://169.254.169.254/").json()["code"] == "card_fault"
