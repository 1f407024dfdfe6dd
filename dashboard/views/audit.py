"""The audit log, newest first, with what was before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from dashboard import audit as log
from dashboard import queries
from dashboard.pages import LivePage, Visit, register
from dashboard.queries import AuditFilter
from dashboard.queries.audit import audit_rows
from dashboard.roles import admin_required, viewer_required
from dashboard.views.posting import post_only
from dashboard.wording import number

AREAS = (
    ("", gettext_noop("Everything")),
    ("escalation.", gettext_noop("Escalations")),
    ("workflow.", gettext_noop("Workflows")),
    ("agent.", gettext_noop("Agents")),
    ("task_type.", gettext_noop("Task types")),
    ("remote_agent.", gettext_noop("Remote agents")),
    ("user.", gettext_noop("People")),
    ("api_token.", gettext_noop("Tokens")),
    ("login.", gettext_noop("Sign-ins")),
    ("channel.", gettext_noop("Channels")),
    ("policy.", gettext_noop("Policies")),
)


def _context(visit: Visit) -> dict[str, Any]:
    wanted = AuditFilter.from_params(visit.query)
    page = queries.audit(wanted, cursor=visit.query.get("cursor", ""))
    return {
        "filter": wanted,
        "rows": page.rows,
        "areas": [(name, _(words), name == wanted.action) for name, words in AREAS],
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


_FIELDS = ("id", "actor", "action", "object_type", "object_id", "before", "after", "address", "previous_hash", "hash")


def _lines(wanted: AuditFilter) -> Iterator[bytes]:
    for row in audit_rows(wanted).iterator(chunk_size=500):
        entry = {"at": row.at.isoformat(), **{name: getattr(row, name) for name in _FIELDS}}
        yield json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@post_only("audit")
@viewer_required
def export(request: HttpRequest) -> HttpResponse:
    """The entries that the filter lets through as lines of JSON, oldest first, with the hashes that join them."""
    wanted = AuditFilter.from_params(request.POST.dict())
    log.record(request.user, "audit.export", ("audit", ""), after={"filter": wanted.query()}, request=request)
    response = HttpResponse(b"".join(_lines(wanted)), content_type="application/x-ndjson")
    response["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
    response["Cache-Control"] = "no-store"
    return response


@post_only("audit")
@admin_required
def verify(request: HttpRequest) -> HttpResponse:
    """Check the whole log against its hashes and say what was found."""
    verdict = log.verify()
    if verdict.intact:
        messages.success(
            request,
            _("All %(entries)s entries are as they were written, and none is missing.")
            % {"entries": number(verdict.entries)},
        )
    else:
        messages.error(
            request,
            _("The log is broken at entry %(broken_at)s: %(why)s.")
            % {"broken_at": verdict.broken_at, "why": verdict.why},
        )
    return redirect("audit")
