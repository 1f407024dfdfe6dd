"""What may be done to many at once: dry run, drift, password, approval, stop; by page and by API."""

from __future__ import annotations

import html
import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client as Http

from coordination.config import Config
from coordination.errors import BadRequest, DecisionConflict
from dashboard import accounts, approvals, bulk, bulk_run, policy, tokens
from dashboard.bulk_models import BulkAction, BulkItem
from dashboard.bulk_plan import Selection
from dashboard.models import AuditEntry, Decision
from dashboard.work_models import Approval
from tests.bulks import EVERYTHING, begin, person, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


def test_a_dry_run_says_what_is_left_out_and_why(config: Config) -> None:
    ann, bob = person("ann"), person("bob")
    stored(1)
    stored(2, state="resolved")
    stored(3, claimed_by=bob, claimed_until="2099-01-01T00:00:00Z")
    stored(4)
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
    ann, bob = person("ann"), person("bob")
    stored(1)
    identity = uuid.uuid4()
    first = begin(ann, bulk_id=identity)
    assert begin(ann, bulk_id=identity).pk == first.pk
    assert BulkItem.objects.count() == 1
    with pytest.raises(DecisionConflict, match="somebody else"):
        begin(bob, bulk_id=identity)
    assert bulk.plan(EVERYTHING, "retry", None, bob).refusals[0][0] == "another bulk action is working on it"
    accounts.set_role(ann, "viewer", "tests")
    bulk_run.work(0)
    assert "may no longer operate" in BulkAction.objects.get(pk=first.pk).why
    assert Decision.objects.count() == 0


def test_a_share_that_fails_again_stops_the_rest(config: Config) -> None:
    user = person()
    for number in range(40):
        stored(number)
    made = begin(user, canary=False, most_failing=0.2)
    BulkItem.objects.filter(place__lt=3).update(state="failed_again", sent_at=made.resumed_at)
    bulk_run.work(0)
    stopped = BulkAction.objects.get(pk=made.pk)
    assert (stopped.state, stopped.why[:38]) == ("stopped", "3 of 3 verified items failed again. Wh")
    assert Decision.objects.count() == 0


class Api:
    """A program with a token, and somebody's browser."""

    def __init__(self, user: User, scope: str = "operate") -> None:
        text = tokens.create(user, "test", scope)[1]
        self.http = Http(headers={"authorization": f"Bearer {text}"}, raise_request_exception=False)

    def post(self, path: str, body: Any = None) -> Any:
        return self.http.post(f"/api{path}", json.dumps(body), content_type="application/json")


def test_the_call_that_the_page_shows_does_what_the_page_does(config: Config) -> None:
    user = person()
    for number in range(3):
        stored(number)
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
    assert Api(person("vic", "viewer"), "read").post("/bulk", body).status_code == 403


def test_an_old_session_gives_its_password_before_a_bulk_action(config: Config) -> None:
    user = person()
    user.set_password("a long enough one")
    user.save()
    stored(1)
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
    viewer.force_login(person("vic", "viewer"))
    assert viewer.get(f"/bulk/{made.pk}/").status_code == 200
    for path in ("/bulk/start/", f"/bulk/{made.pk}/cancel/", f"/bulk/{made.pk}/go-on/"):
        assert viewer.post(path, form).status_code == 403
    assert viewer.get("/bulk/new/?on=escalations&all=1&action=retry").status_code == 403


def test_more_than_the_rules_allow_waits_for_another_person(config: Config) -> None:
    ann, bob = person("ann"), person("bob", "approver")
    person("cyd", "approver")
    admin = User.objects.get(username="admin")
    policy.change(admin, four_eyes=["supply"], bulk_limit=2, undo_s=0, approval_minutes=5)
    for number in range(3):
        stored(number)
    made = begin(ann)
    bulk_run.work(0)
    assert (made.state, Decision.objects.count()) == ("awaiting", 0)
    approvals.approve(Approval.objects.get().pk, bob)
    made = BulkAction.objects.get()
    assert (made.state, made.approved_by) == ("canary", "bob")
    bulk.cancel(ann, str(made.pk))
    begin(ann, "supply", {"text": "y"})
    waits = Approval.objects.get(state="waiting")
    bulk.cancel(ann, waits.subject)
    waits.refresh_from_db()
    assert waits.state == "withdrawn"
    with pytest.raises(DecisionConflict):
        approvals.approve(waits.pk, bob)
    supplied = begin(ann, "supply", {"text": "x"})
    approvals.refuse(Approval.objects.get(state="waiting").pk, bob)
    assert BulkAction.objects.get(pk=supplied.pk).why == "The request for approval was refused."
