"""The list of workflows: filtered, searched, sorted, paged, live."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from coordination.domain import WorkflowState
from dashboard import bulk_workflows, dispositions, queries
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import WorkflowFilter
from dashboard.queries.workflows import AGES, COLUMNS
from dashboard.roles import viewer_required
from dashboard.views.bulk import verb
from dashboard.views.saved import with_views
from dashboard.wording import look, number

PAGE_ROWS = 50


class Column(NamedTuple):
    """A column's head, with the address that sorts by it."""

    words: str
    css: str = ""
    href: str = ""
    sort: str = ""  # ascending | descending, when the list is sorted by it


class Pill(NamedTuple):
    """A filter that is one click away, or one that is on and removed by a click."""

    words: str
    href: str
    on: bool = False
    many: str = ""  # how many it would show


_COLUMNS = (
    (gettext_noop("State"), "", "state"),
    (gettext_noop("Workflow"), "", "type"),
    (gettext_noop("Input"), "col-wide", ""),
    (gettext_noop("Steps"), "col-optional", ""),
    (gettext_noop("Submitted"), "num col-wide", "created"),
    (gettext_noop("Duration"), "num col-optional", "duration"),
    (gettext_noop("Owner"), "col-optional col-roomy", ""),
)
_VERBS = tuple(name for name in bulk_workflows.ACTIONS if name not in dispositions.BY_HAND)


def _columns(wanted: WorkflowFilter) -> list[Column]:
    found = []
    for words, css, sort in _COLUMNS:
        if words.lower() in wanted.hide:
            continue
        if not sort:
            found.append(Column(_(words), css))
            continue
        sorted_by = wanted.sort == sort
        descending = not wanted.descending if sorted_by else sort not in ("type", "state")
        href = f"?{wanted.query(sort=sort, descending=descending)}"
        shown = ("descending" if wanted.descending else "ascending") if sorted_by else ""
        found.append(Column(_(words), css, href, shown))
    return found


def _states(wanted: WorkflowFilter) -> list[Pill]:
    counts = queries.state_counts()
    pills = [Pill(_("All"), f"?{wanted.query(states=())}", not wanted.states)]
    for state in WorkflowState:
        count, more = counts[state.value]
        on = wanted.states == (state.value,)
        href = f"?{wanted.query(states=() if on else (state.value,))}"
        pills.append(Pill(look(state.value).words, href, on, f"{number(count)}{'+' if more else ''}"))
    return pills


_NEEDS = {
    "retrying": gettext_noop("retrying now"),
    "human": gettext_noop("waiting for a human"),
    "no_agent": gettext_noop("no capable agent"),
}

_AGES = {
    "1h": gettext_noop("submitted within the last hour"),
    "24h": gettext_noop("submitted within the last 24 hours"),
    "7d": gettext_noop("submitted within the last 7 days"),
    "over-1h": gettext_noop("submitted more than an hour ago"),
    "over-24h": gettext_noop("submitted more than 24 hours ago"),
    "over-7d": gettext_noop("submitted more than 7 days ago"),
}


def _removable(wanted: WorkflowFilter) -> list[Pill]:
    """The filters that are on beside the state, each with the address without it."""
    pairs: list[tuple[str, str, dict[str, Any]]] = [
        (_("search"), wanted.text, {"text": ""}),
        (_("type"), wanted.type, {"type": ""}),
        (_("version"), str(wanted.version or ""), {"version": 0}),
        ("", _(_AGES[wanted.age]) if wanted.age else "", {"age": ""}),
        ("", _(_NEEDS.get(wanted.needs, "")), {"needs": ""}),
        (_("owner"), wanted.owner, {"owner": ""}),
        (_("children of"), wanted.parent, {"parent": ""}),
        (_("since"), wanted.since.date().isoformat() if wanted.since else "", {"since": None}),
        (_("until"), wanted.until.date().isoformat() if wanted.until else "", {"until": None}),
    ]
    return [
        Pill(f"{name} {value}".strip(), f"?{wanted.query(**without)}", True) for name, value, without in pairs if value
    ]


def _context(visit: Visit) -> dict[str, Any]:
    wanted = WorkflowFilter.from_params(visit.query)
    page = queries.workflows(wanted, cursor=visit.query.get("cursor", ""), limit=PAGE_ROWS)
    query = wanted.query()
    return {
        "filter": wanted,
        "page": page,
        "rows": page.rows,
        "columns": _columns(wanted),
        "states": _states(wanted),
        "removable": _removable(wanted),
        "types": queries.workflow_types(),
        "needs": {name: _(words) for name, words in _NEEDS.items()},
        "ages": {name: _(_AGES[name]) for name in AGES},
        "hideable": COLUMNS,
        "hidden": dict.fromkeys(wanted.hide, True),
        "bulk_target": "workflows",
        "bulk_filter": wanted.params(hide=(), sort="created", descending=True),
        "bulk_total": page.total,
        "bulk_capped": page.capped,
        "bulk_verbs": [(name, verb(name)) for name in _VERBS],
        "next_href": f"?{query}{'&' if query else ''}cursor={page.next}" if page.next else "",
        "previous_href": f"?{query}{'&' if query else ''}cursor={page.previous}" if page.previous else "",
    }


PAGE = register(
    "workflows",
    LivePage(
        name="workflows",
        template="dashboard/workflows.html",
        context=_context,
        partials=("wf-list",),
        topics=lambda visit: {"workflows"},
    ),
)


@require_GET
@viewer_required
def workflows(request: HttpRequest) -> HttpResponse:
    """The list, or only its live part for htmx."""
    return PAGE.respond(request, with_views(request, "workflows"))
