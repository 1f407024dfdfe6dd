"""Where work starts: the examples, and any installed workflow type by its own form."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from dashboard import queries
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import WorkflowFilter
from dashboard.roles import viewer_required


class Example(NamedTuple):
    """An example application and where it starts."""

    name: str
    href: str
    icon: str
    words: str
    steps: str
    type: str


EXAMPLES = (
    Example(
        gettext_noop("Legal review"),
        "/runs/legal-review/",
        "scale",
        gettext_noop(
            "Upload a contract as PDF, DOCX or text and get its kind, parties, dates, amounts, missing parts and a"
            " summary. What cannot be read is asked of you."
        ),
        "classify → extract with validate → summarize",
        "legal_review",
    ),
    Example(
        gettext_noop("Shipments"),
        "/runs/shipments/",
        "truck",
        gettext_noop(
            "Load a file of carrier updates in several formats: one workflow for each row, thousands at once. "
            "Broken rows come to you, grouped by cause."
        ),
        "parse → match → estimate → notify",
        "shipment_update",
    ),
)


def _context(visit: Visit) -> dict[str, Any]:
    return {
        "examples": [
            (
                one._replace(name=_(one.name), words=_(one.words)),
                queries.workflows(WorkflowFilter(type=one.type), limit=5, count=False).rows,
            )
            for one in EXAMPLES
        ]
    }


PAGE = register(
    "runs",
    LivePage(
        name="runs",
        template="dashboard/runs.html",
        context=_context,
        partials=("ru-list",),
        topics=lambda visit: {"workflows"},
    ),
)


@require_GET
@viewer_required
def runs(request: HttpRequest) -> HttpResponse:
    """The examples with their latest workflows."""
    return PAGE.respond(request)
