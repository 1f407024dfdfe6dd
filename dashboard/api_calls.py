"""What the buttons of a workflow's page do, as calls of the API that can be copied into a terminal."""

from __future__ import annotations

import json
import shlex
from typing import Any, NamedTuple

from django.conf import settings
from django.utils.translation import gettext as _

from coordination.domain import StepView
from dashboard.models import Workflow


class ApiCall(NamedTuple):
    """A call with what it does, in words."""

    words: str
    text: str


def curl(path: str, body: Any = None, method: str = "") -> str:
    """A call of the API as a line for a shell; the token stands in ``GANGLION_TOKEN``."""
    parts = ["curl", "-sS"]
    if method or body is not None:
        parts += ["-X", method or "POST"]
    line = shlex.join(parts) + ' -H "Authorization: Bearer $GANGLION_TOKEN"'
    if body is not None:
        line += f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    return f"{line} {shlex.quote(f'{settings.PUBLIC_URL}/api{path}')}"


def api_calls(row: Workflow, step: StepView | None) -> list[ApiCall]:
    """What can be read and done of a workflow now."""
    path = f"/workflows/{row.pk}"
    calls = [ApiCall(_("Read it"), curl(path))]
    if row.finished_at is None:
        calls += [
            ApiCall(_("Why does it wait?"), curl(f"{path}/why")),
            ApiCall(_("Resume it"), curl(f"{path}/resume", {}))
            if row.state == "paused"
            else ApiCall(_("Pause it"), curl(f"{path}/pause", {"reason": ""})),
            ApiCall(_("Send it a signal"), curl(f"{path}/signal", {"name": "NAME", "payload": None})),
            ApiCall(_("Cancel it"), curl(f"{path}/cancel", {"reason": ""})),
            ApiCall(_("Terminate it"), curl(f"{path}/terminate", {"reason": ""})),
        ]
    else:
        calls.append(ApiCall(_("Read its result"), curl(f"{path}/result")))
    if step is not None:
        calls.append(
            ApiCall(_("Restart it from step %(step)s") % {"step": step.id}, curl(f"{path}/restart", {"step": step.id}))
        )
    calls.append(ApiCall(_("Run it again with the same input"), curl(f"{path}/rerun", {})))
    return calls
