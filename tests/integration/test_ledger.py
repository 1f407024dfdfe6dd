"""The ledger of how failures end, and views of lists that are kept for the team."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client as Http

from coordination.config import Config
from coordination.errors import BadRequest
from dashboard import bulk, bulk_run, dispositions, queries, saved_views
from dashboard.bulk_models import BulkAction, Disposition, SavedView
from dashboard.bulk_plan import Selection
from dashboard.models import AuditEntry, Escalation, Workflow
from tests.bulks import person, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


def test_a_failure_that_no_machine_can_end_is_ended_by_hand(config: Config) -> None:
    user = person()
    Workflow.objects.create(
        id="wf", type="t", state="failed", created_at="2026-01-01T00:00:00Z", finished_at="2026-01-01T00:00:00Z",
        updated_at="2026-01-01T00:00:00Z", generation=1,
    )  # fmt: skip
    stored(1)
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


def test_the_end_of_a_decided_escalation_is_recorded_on_its_page(config: Config) -> None:
    stored(1)
    stored(2, state="resolved", action="retry", outcome="dispatched", resolved_at="2026-01-01T00:00:00Z")
    browser, viewer = Http(), Http()
    browser.force_login(person())
    viewer.force_login(person("vic", "viewer"))
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


def test_views_are_shared_and_deleted_by_their_owner_or_an_administrator(config: Config) -> None:
    ann, bob = person("ann"), person("bob")
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
