"""Bulk actions: the dry run, the canary, the stop, what a dead process leaves, and the ledger at the end."""

from __future__ import annotations

import html
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client as Http

from coordination.client import Client
from coordination.config import Config
from coordination.errors import BadRequest, DecisionConflict
from dashboard import (
    accounts,
    approvals,
    bulk,
    bulk_redirects,
    bulk_run,
    dispositions,
    policy,
    queries,
    saved_views,
    tokens,
)
from dashboard.bulk_models import BulkAction, BulkItem, Disposition, SavedView
from dashboard.bulk_plan import Drifted, Selection
from dashboard.models import AuditEntry, Decision, Escalation, Workflow
from dashboard.work_models import Approval
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
        await until(lambda: Escalation.objects.filter(state="open").count() == 5)  # the canary's has come back
        await sql(dispositions.record_known)
        assert (await sql(queries.ledger)).total == 5

        mirrored.REPAIRED.update(WORDS)
        await sql(bulk.cancel, user, str(first.pk))
        second = await _worked(await sql(_begin, user), "done")
        assert await sql(_states, second) == {"succeeded": 5}
        await sql(dispositions.record_known)
        assert (await sql(queries.ledger)).total == 0
        outcomes = await sql(lambda: sorted(Disposition.objects.values_list("outcome", flat=True)))
        assert outcomes == ["retried"] * 5 + ["superseded"]
        await until(lambda: Workflow.objects.filter(state="completed").count() == 5)


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


class Api:
    """A program with a token, and somebody's browser."""

    def __init__(self, user: User, scope: str = "operate") -> None:
        text = tokens.create(user, "test", scope)[1]
        self.http = Http(headers={"authorization": f"Bearer {text}"}, raise_request_exception=False)

    def post(self, path: str, body: Any = None) -> Any:
        return self.http.post(f"/api{path}", json.dumps(body), content_type="application/json")


def test_the_call_that_the_page_shows_does_what_the_page_does(config: Config) -> None:
    user = _user()
    for number in range(3):
        _stored(number)
    browser = Http()
    browser.force_login(user)
    page = browser.get("/bulk/new/?on=escalations&all=1&f-state=open&f-cause=f&action=retry")
    shown = html.unescape(page.content.decode())
    body = json.loads(shown.partition("POST /api/bulk\n")[2].partition("</pre>")[0])
    assert "3 steps of" in shown
    api = Api(user)
    plan = api.post("/bulk/preview", {"target": "escalations", "action": "retry", "filter": {"cause": "f"}}).json()
    assert (plan["count"], plan["steps_again"]) == (3, [{"kind": "t", "count": 3}])
    begun = api.post("/bulk", body)
    assert begun.status_code == 202, begun.content
    made = begun.json()
    assert (made["state"], made["total"], made["counts"]) == ("canary", 3, {"waiting": 3})
    assert AuditEntry.objects.get(action="bulk.start").actor == "ann"
    late = api.post("/bulk", body)
    assert (late.status_code, late.json()["code"]) == (409, "selection_changed")
    assert "covered 3 items; now it is 0, 3 fewer" in late.json()["message"]
    assert [item["state"] for item in api.http.get(f"/api/bulk/{made['id']}/items").json()] == ["waiting"] * 3
    assert api.post(f"/bulk/{made['id']}/cancel").json()["state"] == "cancelled"
    assert api.http.get("/api/ledger").json()["open"] == 3
    assert api.post(f"/bulk/{uuid.uuid4()}/cancel").status_code == 404
    assert Api(_user("vic", "viewer"), "read").post("/bulk", body).status_code == 403


def test_an_old_session_gives_its_password_before_a_bulk_action(config: Config) -> None:
    user = _user()
    user.set_password("a long enough one")
    user.save()
    _stored(1)
    browser = Http()
    browser.force_login(user)
    session = browser.session
    session["signed_in_at"] = 1
    session.save()
    form = {"on": "escalations", "all": "1", "action": "retry", "per_second": "5"}
    form["digest"] = bulk.plan(Selection("escalations"), "retry", None, user).digest
    assert "Give your password" in browser.post("/bulk/start/", form).content.decode()
    assert "not your password" in browser.post("/bulk/start/", {**form, "password": "no"}).content.decode()
    assert BulkAction.objects.count() == 0
    assert browser.post("/bulk/start/", {**form, "password": "a long enough one"}).status_code == 302
    made = BulkAction.objects.get()
    assert (made.state, made.per_second, made.canary) == ("running", 5.0, False)
    viewer = Http()
    viewer.force_login(_user("vic", "viewer"))
    assert viewer.get(f"/bulk/{made.pk}/").status_code == 200
    for path in ("/bulk/start/", f"/bulk/{made.pk}/cancel/", f"/bulk/{made.pk}/go-on/"):
        assert viewer.post(path, form).status_code == 403
    assert viewer.get("/bulk/new/?on=escalations&all=1&action=retry").status_code == 403


def test_more_than_the_rules_allow_waits_for_another_person(config: Config) -> None:
    ann, bob = _user("ann"), _user("bob", "approver")
    _user("cyd", "approver")
    admin = User.objects.get(username="admin")
    policy.change(admin, four_eyes=["supply"], bulk_limit=2, undo_s=0, approval_minutes=5)
    for number in range(3):
        _stored(number)
    made = _begin(ann)
    bulk_run.work(0)
    assert (made.state, Decision.objects.count()) == ("awaiting", 0)
    approvals.approve(Approval.objects.get().pk, bob)
    made = BulkAction.objects.get()
    assert (made.state, made.approved_by) == ("canary", "bob")
    bulk.cancel(ann, str(made.pk))
    supplied = _begin(ann, "supply", {"text": "x"})
    approvals.refuse(Approval.objects.get(state="waiting").pk, bob)
    assert BulkAction.objects.get(pk=supplied.pk).why == "The request for approval was refused."


def test_views_are_shared_and_deleted_by_their_owner_or_an_administrator(config: Config) -> None:
    ann, bob = _user("ann"), _user("bob")
    made = saved_views.save(
        ann, "workflows", " Late  ones ", "?state=failed&state=running&sort=-duration&hide=owner&x=1"
    )
    assert (made.name, made.query) == ("Late ones", "state=failed%2Crunning&sort=-duration&hide=owner")
    with pytest.raises(BadRequest, match="already a view"):
        saved_views.save(bob, "workflows", "Late ones", "")
    browser = Http()
    browser.force_login(bob)
    page = browser.get(f"/workflows/?{made.query}").content.decode()
    assert "Late ones" in page
    assert f"/views/{made.pk}/delete/" not in page
    assert '<th class="col-optional">Owner' not in page
    browser.post(f"/views/{made.pk}/delete/")
    assert SavedView.objects.count() == 1
    browser.force_login(User.objects.get(username="admin"))
    browser.post(f"/views/{made.pk}/delete/")
    assert SavedView.objects.count() == 0
    assert AuditEntry.objects.filter(action__startswith="view.").count() == 2


async def test_workflows_are_held_let_go_ended_and_run_again_in_bulk(config: Config) -> None:
    user = await sql(_user)

    async def done(action: str, query: str) -> BulkAction:
        chosen = Selection("workflows", query)
        plan = await sql(bulk.plan, chosen, action, None, user)
        made = await sql(bulk.start, user, chosen, action, digest=plan.digest, per_second=50.0)
        return await _worked(made, "done")

    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        for number in range(3):
            await client.submit("mirrored_wait", Word(str(number)))
        await client.submit("mirrored_shout", Word("done"))
        await until(lambda: Workflow.objects.filter(state__in=("running", "waiting", "completed")).count() == 4)
        held = await done("pause", "type=mirrored_wait")
        assert await sql(_states, held) == {"succeeded": 3}
        assert await sql(Workflow.objects.filter(state="paused").count) == 3
        again = await sql(bulk.plan, Selection("workflows", ""), "pause", None, user)
        assert {words for words, _, _ in again.refusals} == {"already paused", "already completed"}
        await done("resume", "state=paused")
        assert await sql(Workflow.objects.filter(state="paused").count) == 0
        await done("terminate", "type=mirrored_wait")
        assert await sql(Workflow.objects.filter(state="cancelled").count) == 3

        await sql(lambda: Workflow.objects.filter(type="mirrored_shout").update(state="failed"))
        assert (await sql(queries.ledger)).workflows == 1
        rerun = await done("rerun", "type=mirrored_shout")
        item = await sql(rerun.items.get)
        assert (await sql(Workflow.objects.get, pk=item.other_id)).state == "completed"
        assert (await sql(queries.ledger)).workflows == 0


@pytest.mark.once
async def test_a_cause_is_restarted_and_rerouted_with_a_dry_run_a_canary_and_the_rules(config: Config) -> None:
    user = await sql(_user)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        await _failed(client)
        first = await sql(lambda: Escalation.objects.earliest("opened_at"))
        plan = await sql(bulk.plan, EVERYTHING, "restart", {}, user)
        assert (plan.again, plan.refused) == ([("mirrored_shout_task", 5)], [])
        assert plan.risks == [(bulk_redirects._RUN_ALREADY, 5)]
        nowhere = await sql(bulk.plan, EVERYTHING, "restart", {"step": "9"}, user)
        assert [words for words, _, _ in nowhere.refusals] == ["There is no step '9' to restart from"]
        stranger = await sql(bulk.plan, EVERYTHING, "reroute", {"agent": "nobody"}, user)
        assert [words for words, _, _ in stranger.refusals] == [
            "“nobody” takes no tasks of type mirrored_shout_task now"
        ]
        unmet = await sql(bulk.plan, EVERYTHING, "reroute", {"requires": {"gpu": "yes"}}, user)
        assert (len(unmet.eligible), unmet.risks) == (5, [(bulk_redirects._UNMET, 5)])

        stopped = await _worked(await sql(_begin, user, "restart", {}), "stopped")
        assert await sql(_states, stopped) == {"failed_again": 1, "waiting": 4}
        assert (await client.get(first.workflow_id)).epoch > 1, "the canary's workflow began anew"
        await sql(bulk.cancel, user, str(stopped.pk))
        await until(lambda: Escalation.objects.filter(state="open").count() == 5)

        mirrored.REPAIRED.update(WORDS)
        await sql(lambda: Decision.objects.filter(action="restart").get(state="accepted"))
        name = (await client.inspect.agents())[0].name
        rerouted = await sql(_begin, user, "reroute", {"agent": name}, canary=False)
        await sql(lambda: BulkItem.objects.filter(bulk=rerouted, place__gte=2).delete())
        done = await _worked(rerouted, "done")
        assert await sql(_states, done) == {"succeeded": 2}
        rest = await _worked(await sql(_begin, user, "restart", {"step": first.step}), "done")
        assert await sql(_states, rest) == {"succeeded": 3}
        await until(lambda: Workflow.objects.filter(state="completed").count() == 5)


def test_the_end_of_a_decided_escalation_is_recorded_on_its_page(config: Config) -> None:
    _stored(1)
    _stored(2, state="resolved", action="retry", outcome="dispatched", resolved_at="2026-01-01T00:00:00Z")
    browser, viewer = Http(), Http()
    browser.force_login(_user())
    viewer.force_login(_user("vic", "viewer"))
    page = "/escalations/w2~1~1/"
    assert 'id="end-wanted"' not in browser.get("/escalations/w1~1~1/").content.decode(), "still open"
    assert 'id="end-wanted"' in browser.get(page).content.decode()
    assert "end-form" not in viewer.get(page).content.decode()
    assert f'href="{page}"' in viewer.get("/ledger/").content.decode()
    assert viewer.post(f"{page}end/", {"outcome": "accepted"}).status_code == 403
    for said, words in (({"outcome": "duplicate"}, "duplicate of"), ({"outcome": "retried"}, "nothing to record")):
        answer = browser.post(f"{page}end/", said)
        assert (answer.status_code, words in answer.content.decode()) == (422, True)
    assert "still open" in browser.post("/escalations/w1~1~1/end/", {"outcome": "accepted"}).content.decode()
    assert (queries.ledger().pending, Disposition.objects.count()) == (1, 0)
    assert browser.post(f"{page}end/", {"outcome": "accepted", "note": "a <b>test</b>"}).status_code == 302
    shown = browser.get(page).content.decode()
    assert "<strong>Accepted as is</strong>" in shown
    assert "a &lt;b&gt;test&lt;/b&gt;" in shown
    assert "recorded how it ends: accepted as is" in shown
    assert (queries.ledger().pending, AuditEntry.objects.get(action="failure.dispose").actor) == (0, "ann")
    assert "recorded already" in browser.post(f"{page}end/", {"outcome": "accepted"}).content.decode()
