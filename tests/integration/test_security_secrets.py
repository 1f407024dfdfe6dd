"""Secrets on their way through forms: shown to nobody, kept where they belong."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from coordination import client as core
from coordination.config import Config
from dashboard import decisions, queries
from dashboard.models import Decision, Escalation, Schedule
from dashboard.redaction import REDACTED, redact, restore
from tests import mirrored
from tests.integration.test_api import Caller
from tests.mirrored import Word, until
from tests.mirrored import sql as call

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "open-sesame-12345"


def test_what_was_not_shown_is_put_back_where_nothing_was_changed() -> None:
    given: dict[str, Any] = {
        "word": "bad",
        "api_key": SECRET,
        "more": [{"token": SECRET}, "Bearer abcdefgh12345678"],
        "n": 1,
    }
    shown = redact(given)
    assert SECRET not in json.dumps(shown)
    assert restore(shown, given) == given
    assert restore({**shown, "word": "good"}, given) == {**given, "word": "good"}
    assert restore({**shown, "api_key": "new"}, given)["api_key"] == "new"
    assert restore({"elsewhere": REDACTED}, given) == {"elsewhere": REDACTED}  # a secret never moves
    assert restore({"word": REDACTED}, given) == {"word": REDACTED}
    assert restore({**shown, "more": [shown["more"][0]]}, given)["more"] == [shown["more"][0]]


async def test_an_edited_input_keeps_its_secrets(config: Config, transactional_db: None) -> None:
    operator = await call(Caller)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        workflow_id = await client.submit("mirrored_shout", Word("bad", api_key=SECRET))
        found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
        shown = (await call(operator.get, f"/escalations/{found.id}")).json()["detail"]["input"]
        assert shown == {"word": "bad", "api_key": REDACTED}
        edit = {"action": "edit", "payload": {**shown, "word": "good"}}
        assert (await call(operator.post, f"/escalations/{found.id}/resolve", edit)).status_code == 200
        await client.result(workflow_id, timeout_s=10)
        entries = await call(core.sync().inspect.journal, workflow_id)
        decided = [entry for entry in entries if type(entry.entry).__name__ == "Decided"]
        assert SECRET.encode() in decided[0].entry.value
        stored = await call(lambda: Decision.objects.get(escalation_id=found.id).payload)
        assert SECRET not in stored and REDACTED in stored


async def test_a_decision_that_waits_is_shown_without_secrets(config: Config, transactional_db: None) -> None:
    operator = await call(Caller)
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        workflow_id = await client.submit("mirrored_shout", Word("bad"))
        found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
    decide = partial(decisions.submit, found.id, version=1, action="edit", user=operator.user, hold_s=300)
    await call(lambda: decide(payload={"word": "good", "api_key": SECRET}))
    detail: Any = await call(queries.escalation, found.id)
    assert REDACTED in detail.decisions[0].payload and SECRET not in detail.decisions[0].payload
    assert SECRET in (await call(lambda: Decision.objects.get(escalation_id=found.id))).payload


def test_a_schedules_secrets_are_not_read_back(config: Config, transactional_db: None) -> None:
    admin, viewer = Caller("admin", "admin"), Caller("viewer", "read")
    body = {"name": "n", "workflow_type": "mirrored_shout", "cron": "0 0 * * *", "input": {"api_key": SECRET}}
    made = admin.post("/schedules", body)
    assert made.status_code == 201 and SECRET not in made.content.decode()
    shown = viewer.get("/schedules").json()[0]
    assert shown["input"] == {"api_key": REDACTED}
    path = f"/api/schedules/{shown['id']}"
    changed = admin.http.put(path, json.dumps({**body, "input": shown["input"]}), content_type="application/json")
    assert changed.status_code == 200
    assert Schedule.objects.get().input == {"api_key": SECRET}
