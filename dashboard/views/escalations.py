"""The queue of escalations: causes, items, filters; live."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from coordination.domain import Reason
from dashboard import queries
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import EscalationFilter
from dashboard.roles import viewer_required
from dashboard.views.workflows import Pill

STATES = (("open", "Open"), ("resolved", "Resolved"), ("withdrawn", "Withdrawn"), ("all", "All"))


def _page_number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 1


def _context(visit: Visit) -> dict[str, Any]:
    wanted = EscalationFilter.from_params(visit.query)
    page = queries.escalations(wanted, page=_page_number(visit.query.get("page", "")), user_id=visit.user_id)
    groups = queries.escalation_groups(
        EscalationFilter(state=wanted.state, reason=wanted.reason, claim=wanted.claim, text=wanted.text),
        limit=30, user_id=visit.user_id,
    )  # fmt: skip
    query = wanted.query()
    joint = "&" if query else ""
    chosen = next((group for group in groups if group.fingerprint == wanted.fingerprint), None)
    removable = [
        Pill(f"{name} {value}".strip(), f"?{wanted.query(**without)}", True)
        for name, value, without in (
            ("cause", chosen.headline[:40] if chosen else wanted.fingerprint[:8], {"fingerprint": ""}),
            ("type", wanted.workflow_type, {"workflow_type": ""}),
            ("task", wanted.task_type, {"task_type": ""}),
            ("search", wanted.text, {"text": ""}),
        )
        if value
    ]
    return {
        "filter": wanted,
        "page": page,
        "rows": page.rows,
        "groups": [(group, f"?{wanted.query(fingerprint=group.fingerprint)}") for group in groups],
        "all_href": f"?{wanted.query(fingerprint='')}",
        "grouped_total": sum(group.count for group in groups),
        "states": [Pill(words, f"?{wanted.query(state=name)}", wanted.state == name) for name, words in STATES],
        "claims": [
            Pill(
                "Claimed by me",
                f"?{wanted.query(claim='' if wanted.claim == 'mine' else 'mine')}",
                wanted.claim == "mine",
            ),
            Pill("Free", f"?{wanted.query(claim='' if wanted.claim == 'free' else 'free')}", wanted.claim == "free"),
        ],
        "removable": removable,
        "reasons": list(Reason),
        "next_href": f"?{query}{joint}page={page.page + 1}" if page.has_next else "",
        "previous_href": f"?{query}{joint}page={page.page - 1}" if page.page > 1 else "",
    }


PAGE = register(
    "escalations",
    LivePage(
        name="escalations",
        template="dashboard/escalations.html",
        context=_context,
        partials=("esc-list",),
        topics=lambda visit: {"escalations"},
        personal=True,
    ),
)


@require_GET
@viewer_required
def escalations(request: HttpRequest) -> HttpResponse:
    """The queue, or only its live part for htmx."""
    return PAGE.respond(request)
