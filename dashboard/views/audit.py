"""The audit log, newest first, with what was before and after."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from dashboard import queries
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import AuditFilter
from dashboard.roles import viewer_required

AREAS = (
    ("", "Everything"),
    ("escalation.", "Escalations"),
    ("workflow.", "Workflows"),
    ("agent.", "Agents"),
    ("task_type.", "Task types"),
    ("remote_agent.", "Remote agents"),
    ("user.", "People"),
    ("api_token.", "Tokens"),
    ("login.", "Sign-ins"),
)


def _context(visit: Visit) -> dict[str, Any]:
    wanted = AuditFilter.from_params(visit.query)
    page = queries.audit(wanted, cursor=visit.query.get("cursor", ""))
    return {
        "filter": wanted,
        "rows": page.rows,
        "areas": [(name, words, name == wanted.action) for name, words in AREAS],
        "next_href": f"?{wanted.query(cursor=page.next)}" if page.next else "",
        "paged": "cursor" in visit.query,
    }


PAGE = register(
    "audit",
    LivePage(
        name="audit",
        template="dashboard/audit.html",
        context=_context,
        partials=("au-list",),
        topics=lambda visit: {"audit"},
    ),
)


@require_GET
@viewer_required
def audit(request: HttpRequest) -> HttpResponse:
    """The log."""
    return PAGE.respond(request)
