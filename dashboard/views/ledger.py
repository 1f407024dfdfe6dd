"""The disposition ledger: which failures have no recorded end yet, and what was recorded."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from dashboard import dispositions, queries
from dashboard.pages import LivePage, Visit, register
from dashboard.roles import viewer_required
from dashboard.views.bulk import verb

ROWS = 50


def _context(visit: Visit) -> dict[str, Any]:
    left = queries.undisposed_workflows()
    return {
        "ledger": queries.ledger(),
        "workflows": list(left[:ROWS]),
        "escalations": queries.ended_undisposed(ROWS),
        "recorded": queries.dispositions(),
        "bulk_target": "workflows",
        "bulk_verbs": [(name, verb(name)) for name in dispositions.BY_HAND],
    }


PAGE = register(
    "ledger",
    LivePage(
        name="ledger",
        template="dashboard/ledger.html",
        context=_context,
        partials=("ledger-list",),
        topics=lambda visit: {"escalations", "workflows"},
    ),
)


@require_GET
@viewer_required
def ledger(request: HttpRequest) -> HttpResponse:
    """The ledger."""
    return PAGE.respond(request)
