"""The queue of escalations: causes, items, filters; live."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from coordination.domain import Reason
from dashboard import bulk_escalations, queries
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import EscalationFilter, EscalationGroup
from dashboard.queries.escalations import COLUMNS
from dashboard.retelling import retold
from dashboard.roles import viewer_required
from dashboard.views.bulk import verb
from dashboard.views.saved import with_views
from dashboard.views.workflows import Pill

MOST_GROUPS = 50
STATES = (
    ("open", gettext_noop("Open")),
    ("resolved", gettext_noop("Resolved")),
    ("withdrawn", gettext_noop("Withdrawn")),
    ("all", gettext_noop("All")),
)


def _page_number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 1


def _context(visit: Visit) -> dict[str, Any]:
    wanted = EscalationFilter.from_params(visit.query)
    number = _page_number(visit.query.get("page", ""))
    page = queries.escalations(wanted, page=number, user_id=visit.user_id, pending=True)
    groups = queries.escalation_groups(
        EscalationFilter(state=wanted.state, reason=wanted.reason, claim=wanted.claim, text=wanted.text),
        limit=MOST_GROUPS, user_id=visit.user_id, trend=True,
    )  # fmt: skip
    query = wanted.query()
    joint = "&" if query else ""
    chosen = next((group for group in groups if group.fingerprint == wanted.fingerprint), None)
    under_way = {row.task_type for row in page.rows if row.outcome == "dispatched"}
    return {
        "filter": wanted,
        "page": page,
        "rows": page.rows,
        "groups": [(group, f"?{wanted.query(fingerprint=group.fingerprint)}") for group in groups],
        "more_groups": len(groups) == MOST_GROUPS,
        "chosen": chosen,
        "bulk": queries.bulk_of_cause(wanted.fingerprint) if wanted.fingerprint else None,
        "clocks": queries.clocks({row.fingerprint for row in page.rows} | {group.fingerprint for group in groups}),
        "idle_types": queries.without_agents(under_way),
        "all_href": f"?{wanted.query(fingerprint='')}",
        "states": [Pill(_(words), f"?{wanted.query(state=name)}", wanted.state == name) for name, words in STATES],
        "claims": _claims(wanted),
        "removable": _removable(wanted, chosen),
        "reasons": list(Reason),
        "columns": COLUMNS,
        "hidden": dict.fromkeys(wanted.hide, True),
        "ledger": queries.ledger(),
        "bulk_target": "escalations",
        "bulk_filter": {"state": wanted.state, **wanted.params(hide=(), newest_first=False)},
        "bulk_total": page.total if wanted.state == "open" else 0,
        "bulk_capped": page.capped,
        "bulk_verbs": [(name, verb(name)) for name in bulk_escalations.DECISIONS],
        "next_href": f"?{query}{joint}page={page.page + 1}" if page.has_next else "",
        "previous_href": f"?{query}{joint}page={page.page - 1}" if page.page > 1 else "",
    }


def _claims(wanted: EscalationFilter) -> list[Pill]:
    return [
        Pill(words, f"?{wanted.query(claim='' if wanted.claim == name else name)}", wanted.claim == name)
        for name, words in (("mine", _("Claimed by me")), ("free", _("Free")))
    ]


def _removable(wanted: EscalationFilter, chosen: EscalationGroup | None) -> list[Pill]:
    """The filters that are on, each with the address without it."""
    return [
        Pill(f"{name} {value}".strip(), f"?{wanted.query(**without)}", True)
        for name, value, without in (
            (
                _("cause"),
                retold(chosen.headline, "headline")[:40] if chosen else wanted.fingerprint[:8],
                {"fingerprint": ""},
            ),
            (_("type"), wanted.workflow_type, {"workflow_type": ""}),
            (_("task"), wanted.task_type, {"task_type": ""}),
            (_("search"), wanted.text, {"text": ""}),
        )
        if value
    ]


PAGE = register(
    "escalations",
    LivePage(
        name="escalations",
        template="dashboard/escalations.html",
        context=_context,
        partials=("esc-list",),
        topics=lambda visit: {"escalations"},
        tick_s=5.0,
        personal=True,
    ),
)


@require_GET
@viewer_required
def escalations(request: HttpRequest) -> HttpResponse:
    """The queue, or only its live part for htmx."""
    return PAGE.respond(request, with_views(request, "escalations"))
