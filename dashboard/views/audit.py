"""The audit log, newest first, with what was before and after."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

from channels.db import database_sync_to_async
from django.contrib import messages
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from dashboard import audit as log
from dashboard import queries
from dashboard.api import limits
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
def audit(request: HttpRequest) -> HttpResponseBase:
    """The log."""
    return PAGE.respond(request)


_FIELDS = ("id", "actor", "action", "object_type", "object_id", "before", "after", "address", "previous_hash", "hash")


_AT_ONCE = 500
EXPORTS_PER_MINUTE = 6


async def _lines(wanted: AuditFilter, until: int) -> AsyncIterator[bytes]:
    """The entries up to one, a few hundred at a time: the log may be larger than memory."""
    read = database_sync_to_async(_some, thread_sensitive=False)
    after = 0
    while after < until:
        some, after = await read(wanted, after, until)
        yield some


async def _packed(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(wbits=31)  # gzip
    async for part in parts:
        if packed := packer.compress(part):
            yield packed
    yield packer.flush()


def _some(wanted: AuditFilter, after: int, until: int) -> tuple[bytes, int]:
    """Some lines, and the number of the last entry; ``until`` when there is nothing more."""
    rows = list(audit_rows(wanted).filter(pk__gt=after, pk__lte=until)[:_AT_ONCE])
    entries = ({"at": row.at.isoformat(), **{name: getattr(row, name) for name in _FIELDS}} for row in rows)
    lines = (json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n" for entry in entries)
    return "".join(lines).encode(), rows[-1].pk if len(rows) == _AT_ONCE else until


@post_only("audit")
@viewer_required
def export(request: HttpRequest) -> HttpResponseBase:
    """The entries that the filter lets through as lines of JSON, oldest first, with the hashes that join them."""
    wanted = AuditFilter.from_params(request.POST.dict())
    try:
        limits.check(f"export:{request.user.pk}", EXPORTS_PER_MINUTE)
    except limits.TooManyCalls as error:
        messages.error(request, str(error))
        return redirect("audit")
    last = log.record(request.user, "audit.export", ("audit", ""), after={"filter": wanted.query()}, request=request)
    lines = _lines(wanted, last.pk)
    packs = "gzip" in request.headers.get("Accept-Encoding", "")
    response = StreamingHttpResponse(_packed(lines) if packs else lines, content_type="application/x-ndjson")
    # also to keep the middleware off, which packs each part for itself, and most clients read only the first
    response["Content-Encoding"] = "gzip" if packs else "identity"
    response["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
    response["Cache-Control"] = "no-store"
    return response


@post_only("audit")
@admin_required
def verify(request: HttpRequest) -> HttpResponseBase:
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
