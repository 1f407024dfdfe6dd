"""Decisions as an outbox: written first, sent until answered, once."""

from __future__ import annotations

import uuid

import msgspec
import pytest
from django.contrib.auth.models import User

from coordination import config as coordination_config
from coordination.config import Config
from coordination.domain import EscalationSnapshot, EscalationState, Reason
from coordination.errors import DecisionConflict, EscalationNotFound
from dashboard import accounts, claims, decisions, jobs, mirror
from dashboard.models import AuditEntry, Decision, Escalation
from tests import mirrored
from tests.mirrored import Word, sql, until

pytestmark = pytest.mark.django_db(transaction=True)

SCHEMA = msgspec.json.schema(mirrored.Shout)


def _user(name: str = "ann") -> User:
    accounts.ensure_admin()
    return accounts.create_user(name, "operator", "tests")


def _stored(**changes: object) -> Escalation:
    values: dict[str, object] = {
        "id": "w1~1~1", "workflow_id": "w1", "workflow_type": "mirrored_shout", "step": "1", "task_type": "t",
        "reason": Reason.FINAL_ERROR, "state": EscalationState.OPEN, "output_schema": SCHEMA, "opened_ms": 1,
    }  # fmt: skip
    snapshot = msgspec.convert({**values, **changes}, EscalationSnapshot)
    mirror.escalations([snapshot])
    return Escalation.objects.get(pk=snapshot.id)


async def test_a_decision_taken_while_redis_is_away_is_sent_when_it_is_back(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await sql(_user)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        workflow_id = await client.submit("mirrored_ask", Word("x"))
        found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
        payload = {"text": "answer", "length": 6}

        monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
        coordination_config.current.cache_clear()
        decision = await sql(
            decisions.submit, found.id, version=1, action="supply", payload=payload, user=user, comment="c"
        )
        assert decision.state == "submitted"
        assert "sent again by itself" in decision.answer

        monkeypatch.setenv("REDIS_URL", config.redis_url)
        coordination_config.current.cache_clear()
        await sql(lambda: Decision.objects.update(due_at="2020-01-01T00:00:00Z"))
        assert await sql(jobs.resend_decisions) == 1
        assert await sql(jobs.resend_decisions) == 0
        assert await client.result(workflow_id, timeout_s=10) == "answer"
        assert (await sql(Decision.objects.get)).state == "accepted"
        assert await sql(AuditEntry.objects.filter(action="escalation.resolve").count) == 1


async def test_of_two_people_one_wins_and_the_other_is_told(config: Config) -> None:
    ann, bob = await sql(_user, "ann"), await sql(_user, "bob")
    async with mirrored.host_and_worker(config) as client:
        workflow_id = await client.submit("mirrored_ask", Word("x"))
        async with mirrored.relay(config):
            found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
        # another console has decided, and this one's history does not know it yet
        payload = {"text": "theirs", "length": 6}
        first = await sql(decisions.submit, found.id, version=1, action="supply", payload=payload, user=bob)
        await sql(lambda: Escalation.objects.filter(pk=found.id).update(state="open", version=1))
        second = await sql(decisions.submit, found.id, version=1, action="fail", user=ann)
        assert (first.state, second.state) == ("accepted", "conflict")
        assert "bob" in second.answer
        assert await client.result(workflow_id, timeout_s=10) == "theirs"


def test_what_cannot_be_decided(config: Config) -> None:
    user = _user()
    _stored()
    for action, payload, words in (
        ("reboot", None, "Use one of"),
        ("supply", {"text": "x"}, "length: This field is required."),
        ("supply", None, "declared shape"),
        ("skip", {"text": 1, "length": 2}, "text: Enter text."),
    ):
        with pytest.raises(decisions.InvalidDecision, match=words):
            decisions.submit("w1~1~1", version=1, action=action, payload=payload, user=user)
    with pytest.raises(DecisionConflict, match="has changed"):
        decisions.submit("w1~1~1", version=9, action="retry", user=user)
    with pytest.raises(EscalationNotFound):
        decisions.submit("none~1~1", version=1, action="retry", user=user)
    asked = _stored(id="w2~1~1", reason=Reason.HUMAN_INPUT_REQUESTED)
    with pytest.raises(decisions.InvalidDecision):
        decisions.submit(asked.id, version=1, action="retry", user=user)
    assert Decision.objects.count() == 0


def test_a_form_of_another_escalation_is_refused(config: Config) -> None:
    user = _user()
    _stored()
    _stored(id="w2~1~1")
    same = uuid.uuid4()
    Decision.objects.create(
        id=same, escalation_id="w1~1~1", version=1, action="retry", actor="ann", due_at="2020-01-01T00:00:00Z"
    )
    with pytest.raises(DecisionConflict, match="another escalation"):
        decisions.submit("w2~1~1", version=1, action="retry", user=user, decision_id=same)


def test_claims_are_leases(config: Config) -> None:
    ann, bob = _user("ann"), _user("bob")
    _stored()
    assert claims.claim("w1~1~1", ann).claimed_by == ann
    assert claims.claim("w1~1~1", ann).claimed_by == ann  # renewed
    with pytest.raises(DecisionConflict, match="ann has claimed"):
        claims.claim("w1~1~1", bob)
    with pytest.raises(DecisionConflict, match="ann has claimed"):
        decisions.submit("w1~1~1", version=1, action="retry", user=bob)
    assert not claims.release("w1~1~1", bob)
    Escalation.objects.update(claimed_until="2020-01-01T00:00:00Z")
    assert claims.claim("w1~1~1", bob).claimed_by == bob
    assert claims.release("w1~1~1", bob)
    _stored(state=EscalationState.RESOLVED, version=2)
    with pytest.raises(DecisionConflict, match="already resolved"):
        claims.claim("w1~1~1", ann)
    with pytest.raises(EscalationNotFound):
        claims.claim("none", ann)
    assert AuditEntry.objects.filter(action="escalation.claim").count() == 2
