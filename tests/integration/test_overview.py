"""What the overview says first: is work flowing, who is needed, and how the measures went."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from coordination.config import Config
from coordination.domain import EscalationSnapshot, EscalationState, HostView, Reason
from dashboard import accounts, queries
from dashboard.models import Escalation, HostEvent, Sample
from dashboard.notices.models import Incident
from dashboard.queries.courses import SPANS, _kept, table
from dashboard.rows import escalation_values
from dashboard.views import overview

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(config: Config) -> Client:
    admin = accounts.ensure_admin()
    client = Client()
    client.force_login(accounts.create_user("vera", "viewer", admin), "django.contrib.auth.backends.ModelBackend")
    return client


def waiting(name: str, cause: str, minutes: int) -> Escalation:
    now = timezone.now()
    snapshot = EscalationSnapshot(
        id=name, workflow_id=f"wf-{name}", workflow_type="import", step="1", task_type="parse",
        reason=Reason.MAX_RETRIES_EXCEEDED, state=EscalationState.OPEN,
        opened_ms=int((now - dt.timedelta(minutes=minutes)).timestamp() * 1000),
    )  # fmt: skip
    return Escalation.objects.create(**{**escalation_values(snapshot, now), "fingerprint": cause, "headline": cause})


def test_one_row_a_cause_the_oldest_first_and_late_ones_said(viewer: Client) -> None:
    for number in range(6):
        waiting(f"many-{number}", "many", 5)
    waiting("old", "old", 60)
    Incident.objects.create(
        fingerprint="old", headline="old", workflow_type="import", reason="r", opened_at=timezone.now(),
        acknowledge_by=timezone.now() - dt.timedelta(minutes=1),
    )  # fmt: skip
    needs = queries.needs(limit=6)
    assert [(need.group.fingerprint, need.group.count) for need in needs.causes] == [("old", 1), ("many", 6)]
    assert needs.causes[0].late_since and not needs.causes[1].late_since
    page = viewer.get("/").content.decode()
    assert page.count('id="need-') == 2
    assert "1 incident past its time" in page and "7 decisions" in page
    assert "Retry all" not in page and ">Look<" in page  # a viewer may only look


def test_the_sentence_says_that_people_are_needed(config: Config) -> None:
    seen = queries.overview()
    assert overview.sentence(seen, queries.Needs()) == ("Nothing has run yet.", "idle")
    assert overview.sentence(seen, queries.Needs(approvals=1)) == ("Nothing has run yet; people are needed.", "human")
    late = queries.Needs(approvals=1, late=1)
    assert overview.sentence(seen, late) == ("Nothing has run yet; people are needed and late.", "failed")
    host = HostView("one-1f", "one", alive=True, beat_age_ms=10, held=3, capacity=100, started_ms=1)
    stopped = dataclasses.replace(seen, counts={"needs_human": (3, False)}, hosts=[host])
    assert overview.sentence(stopped, queries.Needs())[0] == "Nothing moves: 3 workflows stopped for people."
    finishing = dataclasses.replace(stopped, per_minute=12.0)
    assert overview.sentence(finishing, queries.Needs())[0] == "All else is done: 3 workflows stopped for people."


@pytest.mark.parametrize("name", SPANS)
def test_a_course_adds_rates_and_keeps_what_was_worst(name: str) -> None:
    _kept.clear()
    span = queries.span(name)
    step = int(timezone.now().timestamp()) // span.step_s * span.step_s - 3 * span.step_s
    at = dt.datetime.fromtimestamp(step, dt.UTC)
    Sample.objects.create(at=at, finished=30, p50_ms=100, p95_ms=900, queue_lag=1, open_escalations=2)
    later = at + dt.timedelta(seconds=span.step_s // 2)
    Sample.objects.create(at=later, finished=10, p50_ms=500, p95_ms=600, queue_lag=9, open_escalations=1)
    seen = queries.courses(span)
    place = seen.times.index(at)
    assert seen.finished[place] == pytest.approx(40 * 60 / span.step_s)
    assert seen.p50_ms[place] == pytest.approx(200)
    assert (seen.p95_ms[place], seen.queue_lag[place], seen.escalations[place]) == (900, 9, 2)
    assert seen.finished[place + 1] is None  # nobody measured: a gap, not a zero
    assert len(seen.times) == len(seen.finished) == span.length_s // span.step_s
    assert len(table(seen)) <= 13
    _kept.clear()


def test_courses_are_for_those_who_may_look(viewer: Client) -> None:
    answer = viewer.get("/courses.json?range=3h")
    assert answer.json()["range"] == "3h" and set(answer.json()["columns"]) == {
        "throughput", "latency", "lag", "escalations",
    }  # fmt: skip
    assert answer["Cache-Control"] == "no-store"
    assert viewer.get("/courses.json?range=nonsense").json()["range"] == "30m"
    assert Client().get("/courses.json").status_code == 302
    nobody = Client()
    nobody.force_login(User.objects.create(username="nobody"), "django.contrib.auth.backends.ModelBackend")
    assert nobody.get("/courses.json").status_code == 403


def test_a_lost_host_is_told_once_however_many_took_over(viewer: Client) -> None:
    now = timezone.now()
    for number, (by, workflows, silent_ms) in enumerate((("b-2", 0, 800), ("c-3", 4, 0), ("b-2", 5, 0))):
        HostEvent.objects.create(
            id=f"{number}-0",
            at=now,
            kind="lost",
            host="a-1",
            by=by,
            workflows=workflows,
            silent_ms=silent_ms,
            took_ms=300,
        )
    page = viewer.get("/").content.decode()
    assert page.count("a-1 was lost; c-3, b-2 took over 9 workflows.") == page.count("a-1 was lost") > 0
