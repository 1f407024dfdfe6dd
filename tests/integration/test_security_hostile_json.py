"""JSON that is made to hurt: nested without end, or written against regular expressions."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from coordination.config import Config
from dashboard.models import Workflow, WorkflowArchive
from tests import mirrored
from tests.integration.test_api import Caller
from tests.mirrored import sql as call
from tests.mirrored import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.fixture
def operator(config: Config, transactional_db: None) -> Caller:
    return Caller()


@pytest.mark.parametrize("depth", [400, 900, 5_000, 200_000])
def test_the_api_refuses_what_is_nested_without_end_in_words(operator: Caller, depth: int) -> None:
    body = f'{{"type": "mirrored_shout", "input": {{"word": {nested(depth)}}}}}'
    answer: Any = operator.http.post("/api/workflows", body, content_type="application/json")
    assert answer.status_code in (400, 422), (answer.status_code, answer.content[:300])
    assert answer.json()["message"]


@pytest.mark.parametrize("depth", [200, 900, 5_000])
async def test_a_nested_payload_never_stops_the_history(config: Config, operator: Caller, depth: int) -> None:
    async with mirrored.host_and_worker(config), mirrored.relay(config):
        made = await call(operator.post, "/workflows", {"type": "mirrored_wait", "input": {"word": "x"}})
        workflow_id = made.json()["id"]
        body = f'{{"name": "go", "payload": {{"password": "x", "deep": {nested(depth)}}}}}'
        path = f"/api/workflows/{workflow_id}/signal"
        sent = await call(operator.http.post, path, body, content_type="application/json")
        assert sent.status_code in (204, 400, 422), sent.content[:300]
        if sent.status_code != 204:
            return
        await until(lambda: Workflow.objects.filter(pk=workflow_id, finished_at__isnull=False).exists())
        await until(lambda: WorkflowArchive.objects.filter(pk=workflow_id).exists())
        browser = Client()
        await call(browser.force_login, operator.user)
        for tab in ("steps", "journal", "data"):
            page = await call(browser.get, f"/workflows/{workflow_id}/", {"tab": tab})
            assert page.status_code == 200
        full = await call(operator.get, f"/workflows/{workflow_id}", include="journal")
        assert full.status_code == 200
        assert b'"password":"x"' not in full.content.replace(b" ", b"")


@pytest.mark.parametrize("depth", [900, 5_000])
def test_a_form_refuses_what_is_nested_without_end_in_words(operator: Caller, depth: int) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(operator.user)
    answer = browser.post("/workflows/none/signal/", {"name": "go", "payload": nested(depth)})
    assert answer.status_code == 302
    tested = browser.post("/agents/types/mirrored_shout_task/test/", {"payload": nested(depth)})
    assert tested.status_code in (302, 400, 422)
