"""Bulk actions for tests: people, stored escalations, and an action on everything that is open."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from dashboard import accounts, bulk, queries
from dashboard.bulk_models import BulkAction
from dashboard.bulk_plan import Selection
from dashboard.models import Escalation

EVERYTHING = Selection("escalations", "state=open")


def person(name: str = "ann", role: str = "operator") -> User:
    accounts.ensure_admin()
    return accounts.create_user(name, role, "tests")


def stored(number: int, **changes: Any) -> Escalation:
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


def begin(user: User, action: str = "retry", payload: Any = None, **options: Any) -> BulkAction:
    made = bulk.plan(EVERYTHING, action, payload, user)
    options = {"per_second": 50.0, **options}
    return bulk.start(user, EVERYTHING, action, payload, digest=made.digest, **options)


def states(made: BulkAction) -> dict[str, int]:
    found = queries.bulk_action(str(made.pk))
    assert found is not None
    return found.counts
