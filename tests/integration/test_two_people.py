"""What people do beside deciding: claims with a fence, undoing, approving, comments, drafts, and their history."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User

from coordination.config import Config
from coordination.errors import BadRequest, DecisionConflict
from dashboard import (
    accounts,
    approvals,
    claims,
    comments,
    decisions,
    differences,
    drafts,
    jobs,
    outbox,
    policy,
    presence,
    queries,
    repair_forms,
)
from dashboard.models import AuditEntry, Decision, Escalation
from dashboard.queries.escalation_history import history
from dashboard.work_models import Approval, Draft
from tests import mirrored
from tests.integration.test_api import Caller
from tests.integration.test_decisions import _stored as stored
from tests.mirrored import REPAIRED, Word, sql, until

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = "2020-01-01T00:00:00Z"


def person(name: str, role: str = "operator") -> User:
    accounts.ensure_admin()
    return accounts.create_user(name, role, "tests")


def rules(**values: Any) -> policy.Rules:
    """Rules as an administrator sets them."""
    whole = {"four_eyes": ["supply", "skip"], "bulk_limit": 0, "undo_s": 10, "approval_minutes": 60, **values}
    return policy.change(accounts.ensure_admin(), **whole)


async def journal_of(client: Any, workflow_id: str) -> list[str]:
    """What the workflow's own stream in Redis holds, by kind."""
    return [type(one.entry).__name__ for one in await client.inspect.journal(workflow_id)]


def test_a_late_submit_is_refused(config: Config) -> None:
    ann, bob = person("ann"), person("bob")
    stored()
    retry: dict[str, Any] = {"version": 1, "action": "retry", "hold_s": 300}
    opened = claims.claim("w1~1~1", ann).claim_fence
    assert claims.claim("w1~1~1", ann).claim_fence == opened  # renewed, not claimed anew
    assert claims.renew("w1~1~1", ann, opened)
    Escalation.objects.update(claimed_until=LONG_AGO)
    with pytest.raises(DecisionConflict, match="has ended"):
        claims.renew("w1~1~1", ann, opened)
    with pytest.raises(DecisionConflict, match="Your claim has expired"):
        decisions.submit("w1~1~1", user=ann, fence=opened, **retry)
    newer = claims.claim("w1~1~1", bob).claim_fence
    assert newer == opened + 1
    with pytest.raises(DecisionConflict, match="bob has claimed"):
        decisions.submit("w1~1~1", user=ann, fence=opened, **retry)
    assert claims.release("w1~1~1", bob)
    with pytest.raises(DecisionConflict, match="was claimed after you opened"):
        decisions.submit("w1~1~1", user=ann, fence=opened, **retry)
    assert Decision.objects.count() == 0
    assert decisions.submit("w1~1~1", user=bob, fence=newer, **retry).state == "submitted"
    with pytest.raises(DecisionConflict, match="bob has already decided"):
        decisions.submit("w1~1~1", user=ann, **retry)


async def test_what_is_undone_leaves_nothing_on_the_stream(config: Config) -> None:
    ann = await sql(person, "ann")
    async with mirrored.host_and_worker(config) as client:
        workflow_id = await client.submit("mirrored_ask", Word("x"))
        async with mirrored.relay(config):
            found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
        payload = {"text": "answer", "length": 6}
        before = await journal_of(client, workflow_id)
        decide = {"version": 1, "action": "supply", "payload": payload, "user": ann, "hold_s": 300}
        first = await sql(lambda: decisions.submit(found.id, **decide))
        assert first.state == "submitted" and await sql(outbox.resend) == 0
        assert [one.pk for one in await sql(decisions.undoable, ann)] == [first.pk]
        assert (await sql(decisions.undo, first.pk, ann)).state == "undone"
        await sql(lambda: Decision.objects.update(due_at=LONG_AGO))
        assert await sql(outbox.resend) == 0
        assert (await sql(outbox.send, first)).state == "undone"  # as a timer that fires too late
        assert await journal_of(client, workflow_id) == before
        stored_ = await client.inspect.escalation(found.id)
        assert stored_ is not None and (stored_.state, stored_.version, stored_.decision_id) == ("open", 1, "")

        # the web process that took the second decision is gone; the job sends it, once its time has come
        second = await sql(lambda: decisions.submit(found.id, **decide))
        assert second.pk != first.pk
        await sql(lambda: Decision.objects.filter(pk=second.pk).update(due_at=LONG_AGO))
        assert await sql(jobs.resend_decisions) == 1
        assert await client.result(workflow_id, timeout_s=10) == "answer"
        with pytest.raises(DecisionConflict, match="too late"):
            await sql(decisions.undo, second.pk, ann)
    said = [one.words for one in await sql(lambda: history(Escalation.objects.get(pk=found.id)))]
    assert said[:4] == [
        "Opened",
        "decided: supply the result",
        "undid the decision; nothing was sent",
        "decided: supply the result",
    ]


async def test_another_person_must_approve(config: Config) -> None:
    ann, eve = await sql(person, "ann", "approver"), await sql(person, "eve", "approver")
    await sql(rules)
    async with mirrored.host_and_worker(config) as client:
        workflow_id = await client.submit("mirrored_shout", Word("bad"))
        async with mirrored.relay(config):
            found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
        before = await journal_of(client, workflow_id)
        payload = {"text": "BAD", "length": 3}
        decide = {"version": 1, "action": "supply", "payload": payload, "user": ann}
        asked = await sql(lambda: decisions.submit(found.id, **decide))
        request = await sql(Approval.objects.get)
        assert (asked.state, request.subject, request.requester) == ("pending", str(asked.pk), "ann")
        with pytest.raises(approvals.OwnRequest):
            await sql(approvals.approve, request.pk, ann)
        bob = await sql(person, "bob")
        with pytest.raises(approvals.OwnRequest):  # an operator
            await sql(approvals.approve, request.pk, bob)
        assert await sql(outbox.resend) == 0 and await journal_of(client, workflow_id) == before

        await sql(approvals.refuse, request.pk, eve, "look again")
        assert (await sql(Decision.objects.get, pk=asked.pk)).state == "refused"
        late = await sql(lambda: decisions.submit(found.id, **decide))
        await sql(lambda: Approval.objects.filter(state="waiting").update(expires_at=LONG_AGO))
        stale = await sql(lambda: Approval.objects.get(state="waiting"))
        with pytest.raises(DecisionConflict, match="expired"):
            await sql(approvals.approve, stale.pk, eve)
        assert await sql(jobs.expire_approvals) == 1
        assert (await sql(Decision.objects.get, pk=late.pk)).state == "expired"
        assert await journal_of(client, workflow_id) == before

        again = await sql(lambda: decisions.submit(found.id, **decide))
        waiting = await sql(lambda: Approval.objects.get(state="waiting"))
        await sql(approvals.approve, waiting.pk, eve)
        sent = await sql(Decision.objects.get, pk=again.pk)
        assert (sent.state, sent.approved_by) == ("accepted", "eve")
        assert (await client.result(workflow_id, timeout_s=10)).text == "BAD"
        with pytest.raises(DecisionConflict, match="already approved by eve"):
            await sql(approvals.refuse, waiting.pk, eve)
    said = [one.words for one in await sql(lambda: history(Escalation.objects.get(pk=found.id)))]
    assert {"asked for approval", "refused it", "approved it", "the request for approval expired"} <= set(said)


async def test_a_step_goes_to_another_agent_and_a_workflow_back_to_a_step(config: Config) -> None:
    ann = await sql(person, "ann")
    async with mirrored.host_and_worker(config) as client:
        ids = [await client.submit("mirrored_shout", Word(f"bad{number}")) for number in range(2)]
        async with mirrored.relay(config):
            found = [await until(lambda one=one: Escalation.objects.filter(workflow_id=one).first()) for one in ids]
        REPAIRED.update({"bad0", "bad1"})
        name = (await client.inspect.agents())[0].name
        forms = [
            await sql(lambda one=one, way=way: repair_forms.form_for(queries.escalation(one.pk).snapshot, way))
            for one, way in zip(found, ("reroute", "restart"), strict=True)
        ]
        assert name in dict(forms[0].fields["value.agent"].choices)
        assert "1" in dict(forms[1].fields["value.step"].choices)
        for one, action, payload in (
            (found[0], "reroute", {"agent": name}),
            (found[1], "restart", {"step": "1"}),
        ):
            with pytest.raises(decisions.InvalidDecision, match="Name"):
                await sql(lambda one=one, act=action: decisions.submit(one.pk, version=1, action=act, user=ann))
            decide = partial(decisions.submit, one.pk, version=1, action=action, payload=payload, user=ann)
            assert (await sql(decide)).state == "accepted"
            assert (await client.result(one.workflow_id, timeout_s=10)).length == 4


def test_rules_need_a_second_approver_and_are_audited(config: Config) -> None:
    with pytest.raises(BadRequest, match="Only one person may approve"):
        rules()
    person("eve", "approver")
    assert rules().needs_approval("skip") and not policy.current().needs_approval("retry")
    for wrong in ({"four_eyes": ["retry"]}, {"undo_s": 301}, {"approval_minutes": 0}, {"bulk_limit": -1}):
        with pytest.raises(BadRequest):
            rules(**wrong)
    entry = AuditEntry.objects.get(action="policy.change")
    assert (entry.before["four_eyes"], entry.after["four_eyes"]) == ([], ["supply", "skip"])


def test_drafts_and_comments_are_kept_without_secrets(config: Config) -> None:
    ann, bob = person("ann"), person("bob")
    stored()
    typed = {"value.word": "x", "value.api_key": "hunter22", "comment": "token=abcdefgh", "csrfmiddlewaretoken": "y"}
    assert drafts.save(ann, "w1~1~1", "edit", typed)
    kept = drafts.load(ann, "w1~1~1")
    assert kept is not None and kept.fields == {"value.word": "x", "comment": "token=[redacted]"}
    assert drafts.load(bob, "w1~1~1") is None
    comments.add("w1~1~1", bob, "<b>see</b> password=hunter22")
    row = Escalation.objects.get()
    assert [(one.author, one.text) for one in row.comments.all()] == [("bob", "<b>see</b> password=[redacted]")]
    assert history(row)[-1].said == "<b>see</b> password=[redacted]"
    with pytest.raises(BadRequest):
        comments.add("w1~1~1", bob, "  ")
    assert Draft.objects.count() == 1


def test_presence_expires_by_itself(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = person("ann")
    presence.note("w1~1~1", ann.pk, "tab1", "viewing")
    presence.note("w1~1~1", ann.pk, "tab2", "editing")
    assert presence.people("w1~1~1") == [(ann.pk, "ann", True)]
    presence.leave("w1~1~1", ann.pk, "tab2")
    assert presence.people("w1~1~1") == [(ann.pk, "ann", False)]
    now = presence._now_ms()
    monkeypatch.setattr(presence, "_now_ms", lambda: now + presence.LIVES_MS + 1)
    assert presence.people("w1~1~1") == []


def test_the_lines_that_differ() -> None:
    old = {"a": 1, "b": [1, 2, 3, 4, 5, 6, 7, 8], "z": "x"}
    found = differences.lines(old, {**old, "z": "y"})
    assert [line for line in found if line.kind in ("old", "new")] == [("old", '  "z": "x"'), ("new", '  "z": "y"')]
    assert found[0].kind == "gap"
    assert differences.lines(old, dict(old)) == []


async def test_the_api_undoes_comments_and_approves(config: Config) -> None:
    operator, eve = await sql(Caller), await sql(Caller, "approver", "approve")
    await sql(stored)
    await sql(rules)
    base = "/escalations/w1~1~1"
    fence = (await sql(operator.post, f"{base}/claim")).json()["claim_fence"]
    wrong = await sql(operator.post, f"{base}/resolve", {"action": "retry", "fence": fence + 1})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "decision_conflict")
    held = await sql(operator.post, f"{base}/resolve", {"action": "retry", "fence": fence, "hold_s": 300})
    assert (held.status_code, held.json()["state"]) == (202, "submitted")
    rival = await sql(eve.post, f"/decisions/{held.json()['id']}/undo")
    assert rival.status_code == 404
    undone = await sql(operator.post, f"/decisions/{held.json()['id']}/undo")
    assert (undone.status_code, undone.json()["state"]) == (200, "undone")
    written = await sql(operator.post, f"{base}/comments", {"text": "look at the log"})
    assert written.status_code == 201
    assert [one["text"] for one in (await sql(operator.get, f"{base}/comments")).json()] == ["look at the log"]
    asked = await sql(operator.post, f"{base}/resolve", {"action": "skip"})
    assert (asked.status_code, asked.json()["state"]) == (202, "pending")
    listed = (await sql(eve.get, "/approvals")).json()
    assert [one["escalation_id"] for one in listed] == ["w1~1~1"]
    address = f"/approvals/{listed[0]['id']}"
    assert (await sql(operator.post, f"{address}/approve", {})).status_code == 403
    assert (await sql(eve.post, f"{address}/refuse", {"note": "no"})).json()["state"] == "refused"
    assert (await sql(eve.post, f"{address}/approve", {})).status_code == 409
    assert (await sql(eve.post, f"/approvals/{uuid.uuid4()}/approve", {})).status_code == 404
