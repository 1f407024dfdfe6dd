"""Bulk actions: the dry run, the canary, the stop, what a dead process leaves, and the ledger at the end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict

from coordination.client import Client
from coordination.config import Config
from coordination.errors import BadRequest, DecisionConflict
from dashboard import accounts, bulk, bulk_run, dispositions, queries
from dashboard.bulk_models import BulkAction, BulkItem, Disposition
from dashboard.bulk_plan import Drifted, Selection
from dashboard.models import AuditEntry, Decision, Escalation, Workflow
from tests import mirrored
from tests.mirrored import Word, sql, until

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = Selection("escalations", "state=open")
WORDS = [f"bad-{number}" for number in range(5)]


@pytest.fixture(autouse=True)
def _unrepaired() -> Iterator[None]:
    mirrored.REPAIRED.clear()
    yield
    mirrored.REPAIRED.clear()


def _user(name: str = "ann", role: str = "operator") -> User:
    accounts.ensure_admin()
    return accounts.create_user(name, role, "tests")


async def _failed(client: Client) -> None:
    for word in WORDS:
        await client.submit("mirrored_shout", Word(word))
    await until(lambda: Escalation.objects.filter(state="open").count() == len(WORDS))


def _begin(user: User, action: str = "retry", payload: Any = None, **options: Any) -> BulkAction:
    made = bulk.plan(EVERYTHING, action, payload, user)
    options = {"per_second": 50.0, **options}
    return bulk.start(user, EVERYTHING, action, payload, digest=made.digest, **options)


def _states(made: BulkAction) -> dict[str, int]:
    found = queries.bulk_action(str(made.pk))
    assert found is not None
    return found.counts


async def _worked(made: BulkAction, state: str) -> BulkAction:
    def look() -> BulkAction | None:
        bulk_run.work(0)
        found = BulkAction.objects.get(pk=made.pk)
        return found if found.state == state else None

    found: BulkAction = await until(look, f"{made} is {state}")
    return found


async def test_an_unfixed_cause_costs_one_attempt_and_a_fixed_one_ends_in_the_ledger(config: Config) -> None:
    user = await sql(_user)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        await _failed(client)
        assert [group.count for group in await sql(queries.escalation_groups, queries.EscalationFilter())] == [5]
        first = await _worked(await sql(_begin, user), "stopped")
        assert "canary failed again" in first.why
        assert await sql(_states, first) == {"failed_again": 1, "waiting": 4}
        assert await sql(Decision.objects.count) == 1
        assert (await sql(queries.ledger)).total == 5

        mirrored.REPAIRED.update(WORDS)
        await sql(bulk.cancel, user, str(first.pk))
        second = await _worked(await sql(_begin, user), "done")
        assert await sql(_states, second) == {"succeeded": 5}
        await sql(dispositions.record_known)
        assert (await sql(queries.ledger)).total == 0
        outcomes = await sql(lambda: sorted(Disposition.objects.values_list("outcome", flat=True)))
        assert outcomes == ["retried"] * 5 + ["superseded"]
        assert await sql(Workflow.objects.filter(state="completed").count) == 5


async def test_another_process_goes_on_where_one_died_and_sends_nothing_twice(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await sql(_user)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        await _failed(client)
        mirrored.REPAIRED.update(WORDS)
        made = await sql(_begin, user)

        real = bulk_run.bulk_escalations.send

        def send_and_die(*given: Any) -> None:
            real(*given)
            raise SystemExit("killed after the decision was sent, before its item was marked")

        with monkeypatch.context() as broken:
            broken.setattr(bulk_run.bulk_escalations, "send", send_and_die)
            with pytest.raises(SystemExit):
                await sql(bulk_run.work, 0)
        assert await sql(_states, made) == {"waiting": 5}
        assert await sql(Decision.objects.count) == 1
        await sql(lambda: BulkAction.objects.update(held_until=None))
        await _worked(made, "done")
        assert await sql(_states, made) == {"succeeded": 5}
        assert await sql(Decision.objects.count) == 5
        assert await sql(AuditEntry.objects.filter(action="escalation.resolve").count) == 5


async def test_what_has_changed_since_the_preview_is_refused_in_words(config: Config) -> None:
    user = await sql(_user)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        await _failed(client)
        made = await sql(bulk.plan, EVERYTHING, "retry", None, user)
        await client.submit("mirrored_shout", Word("bad-late"))
        await until(lambda: Escalation.objects.filter(state="open").count() == 6)
        with pytest.raises(Drifted, match="covered 5 items; now it is 6, 1 more"):
            await sql(bulk.start, user, EVERYTHING, "retry", digest=made.digest)
        assert await sql(BulkAction.objects.count) == 0
        pinned = Selection("escalations", "state=open", before=made.at)
        again = await sql(bulk.plan, pinned, "retry", None, user)
        assert len(again.eligible) == 5


def _stored(number: int, **changes: Any) -> Escalation:
    detail = {
        "id": f"w{number}~1~1", "workflow_id": f"w{number}", "workflow_type": "mirrored_shout", "step": "1",
        "task_type": "t", "reason": "final_error", "state": "open", "input": {"word": f"x{number}", "deep": {"a": 1}},
        "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}},
        "output_schema": {"type": "object", "required": ["text"]}, "errors": [{"kind": "Timeout", "message": "m"}],
    }  # fmt: skip
    values = {
        "id": detail["id"], "workflow_id": detail["workflow_id"], "workflow_type": "mirrored_shout", "step": "1",
        "task_type": "t", "reason": "final_error", "state": "open", "fingerprint": "f", "headline": "t: m",
        "detail": detail, "opened_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return Escalation.objects.create(**{**values, **changes})


def test_a_dry_run_says_what_is_left_out_and_why(config: Config) -> None:
    ann, bob = _user("ann"), _user("bob")
    _stored(1)
    _stored(2, state="resolved")
    _stored(3, claimed_by=bob, claimed_until="2099-01-01T00:00:00Z")
    _stored(4)
    Decision.objects.create(escalation_id="w4~1~1", version=1, action="retry", actor="x", due_at="2020-01-01T00:00:00Z")
    wanted = Selection("escalations", "state=all")
    made = bulk.plan(wanted, "retry", None, ann)
    assert [item.id for item in made.eligible] == ["w1~1~1"]
    assert {words for words, _, _ in made.refusals} == {
        "already resolved", "claimed by bob", "a decision about it is on its way",
    }  # fmt: skip
    assert made.again == [("t", 1)]
    assert "effect outside" in made.risks[0][0]
    assert bulk.plan(wanted, "supply", {"other": 1}, ann).eligible == []
    assert len(bulk.plan(wanted, "supply", {"text": "y"}, ann).eligible) == 1
    assert bulk.plan(wanted, "edit", {"word": 3}, ann).eligible == []
    assert len(bulk.plan(wanted, "edit", {"deep": {"b": 2}}, ann).eligible) == 1
    with pytest.raises(BadRequest, match="nothing that can be done"):
        bulk.plan(wanted, "explode", None, ann)
    with pytest.raises(BadRequest, match="Nothing is selected"):
        Selection.from_params(QueryDict("on=escalations"))


def test_the_same_form_twice_is_one_bulk_action_and_nobody_elses(config: Config) -> None:
    ann, bob = _user("ann"), _user("bob")
    _stored(1)
    identity = uuid.uuid4()
    first = _begin(ann, bulk_id=identity)
    assert _begin(ann, bulk_id=identity).pk == first.pk
    assert BulkItem.objects.count() == 1
    with pytest.raises(DecisionConflict, match="somebody else"):
        _begin(bob, bulk_id=identity)
    assert bulk.plan(EVERYTHING, "retry", None, bob).refusals[0][0] == "another bulk action is working on it"
    accounts.set_role(ann, "viewer", "tests")
    bulk_run.work(0)
    assert "may no longer operate" in BulkAction.objects.get(pk=first.pk).why
    assert Decision.objects.count() == 0


def test_a_share_that_fails_again_stops_the_rest(config: Config) -> None:
    user = _user()
    for number in range(40):
        _stored(number)
    made = _begin(user, canary=False, most_failing=0.2)
    BulkItem.objects.filter(place__lt=3).update(state="failed_again", sent_at=made.resumed_at)
    bulk_run.work(0)
    stopped = BulkAction.objects.get(pk=made.pk)
    assert (stopped.state, stopped.why[:38]) == ("stopped", "3 of 3 verified items failed again. Wh")
    assert Decision.objects.count() == 0


def test_a_failure_that_no_machine_can_end_is_ended_by_hand(config: Config) -> None:
    user = _user()
    Workflow.objects.create(
        id="wf", type="t", state="failed", created_at="2026-01-01T00:00:00Z", finished_at="2026-01-01T00:00:00Z",
        updated_at="2026-01-01T00:00:00Z", generation=1,
    )  # fmt: skip
    _stored(1)
    assert (queries.ledger().open, queries.ledger().workflows) == (1, 1)
    with pytest.raises(BadRequest, match="still open"):
        dispositions.record(user, Escalation.objects.get(), "accepted")
    flow = Workflow.objects.get()
    with pytest.raises(BadRequest, match="duplicate of"):
        dispositions.record(user, flow, "duplicate")
    chosen = Selection("workflows", ids=("wf",))
    digest = bulk.plan(chosen, "accepted", None, user).digest
    made = bulk.start(user, chosen, "accepted", digest=digest, comment="known")
    bulk_run.work(5)
    assert BulkAction.objects.get(pk=made.pk).state == "done"
    assert queries.ledger().workflows == 0
    assert Disposition.objects.get(object_type="workflow").note == "known"
    Workflow.objects.update(generation=2)  # restarted, and it failed again
    assert queries.ledger().workflows == 1
