"""The shipment board, its feeds, and the page on which a feed is started."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from coordination import client
from coordination.domain import WorkflowSnapshot, WorkflowState
from coordination.errors import GanglionError, TryAgain, WorkflowNotFound
from dashboard import operations
from dashboard.pages import LivePage, Visit, register
from dashboard.roles import operator_required, viewer_required
from dashboard.wording import number
from examples.shipments import board as reads
from examples.shipments import intake, sample
from examples.shipments.forms import PasteForm, SampleForm, UploadForm
from examples.shipments.models import Feed, Position
from examples.shipments.updates import Status

SAMPLE_ROWS = (100, 1_000, 10_000)


def _board(visit: Visit) -> dict[str, Any]:
    wanted = reads.BoardFilter.from_params(visit.query)
    page = reads.page(wanted, visit.query.get("page", ""))
    counts = reads.counts()
    exceptions = reads.exceptions()
    return {
        "counts": counts,
        "filter": wanted,
        "page": page,
        "page_query": wanted.query(),
        "exceptions": exceptions[:8],
        "causes": len(exceptions),
        "waiting": sum(group.count for group in exceptions),
        "feeds": reads.recent_feeds(),
        "late_query": wanted.query(late="" if wanted.late else "1"),
        "status_pills": [
            (line, wanted.query(status="" if wanted.status == line.key else line.key)) for line in counts.by_status
        ],
        "carrier_pills": [
            (line, wanted.query(carrier="" if wanted.carrier == line.key else line.key)) for line in counts.by_carrier
        ],
    }


BOARD = register(
    "shipments:board",
    LivePage(
        name="shipments",
        template="shipments/board.html",
        context=_board,
        partials=("figures", "pills", "exceptions", "rows", "feeds"),
        topics=lambda visit: {"workflows", "escalations"},
    ),
)


@require_GET
@viewer_required
def board(request: HttpRequest) -> HttpResponse:
    """Every shipment: counts, what waits for a person, and the late ones first."""
    samples = [(rows, number(rows)) for rows in SAMPLE_ROWS]
    return BOARD.respond(request, {"samples": samples, "next_seed": 7 + Feed.objects.count()})


def _feed(visit: Visit) -> dict[str, Any]:
    feed_id = visit.kwargs["feed_id"]
    row = Feed.objects.filter(pk=feed_id).first()
    snapshot = _snapshot(feed_id)
    if row is None and snapshot is None:
        raise Http404(_("There is no feed %(feed_id)s.") % {"feed_id": feed_id})
    return {
        "feed_id": feed_id,
        "progress": reads.progress(row) if row else None,
        "state": snapshot.state if snapshot else WorkflowState.COMPLETED,
        "note": snapshot.progress if snapshot else "",
        "error": snapshot.error if snapshot else None,
        "exceptions": reads.exceptions(feed_id),
        "left_out": reads.left_out(feed_id),
    }


def _snapshot(feed_id: str) -> WorkflowSnapshot | None:
    try:
        found = client.sync().get(feed_id)
    except (WorkflowNotFound, TryAgain):  # the board shows what SQL has when the server does not answer
        return None
    return found if found.type == "shipment_batch" else None


FEED = register(
    "shipments:feed",
    LivePage(
        name="shipments-feed",
        template="shipments/feed.html",
        context=_feed,
        partials=("progress", "exceptions", "left-out"),
        topics=lambda visit: {f"workflow.{visit.kwargs['feed_id']}", "workflows", "escalations"},
    ),
)


@require_GET
@viewer_required
def feed(request: HttpRequest, feed_id: str) -> HttpResponse:
    """How far one feed is, and which of its rows wait for a person."""
    return FEED.respond(request, feed_id=feed_id)


def _shipment(visit: Visit) -> dict[str, Any]:
    position = get_object_or_404(Position, pk=visit.kwargs["tracking"])
    return {"shipment": position, "status": Status(position.status), "track": reads.track(position.pk)}


SHIPMENT = register(
    "shipments:shipment",
    LivePage(
        name="shipments-shipment",
        template="shipments/shipment.html",
        context=_shipment,
        partials=("facts", "track"),
        topics=lambda visit: {"workflows"},
    ),
)


@require_GET
@viewer_required
def shipment(request: HttpRequest, tracking: str) -> HttpResponse:
    """One shipment: where it is, when it will arrive and why, and every update of it."""
    return SHIPMENT.respond(request, tracking=tracking)


@require_http_methods(["GET", "POST"])
@operator_required
def start(request: HttpRequest) -> HttpResponse:
    """Start a feed from a file, from pasted rows, or from a generated sample."""
    bound: dict[str, forms.Form] = {
        "upload": UploadForm(),
        "paste": PasteForm(),
        "sample": SampleForm(initial={"seed": 7 + Feed.objects.count()}),
    }
    status = 200
    if request.method == "POST":
        source = request.POST.get("source", "")
        if source not in bound:
            raise Http404(_("A feed is started by upload, paste or sample."))
        form = bound[source] = type(bound[source])(request.POST, request.FILES)
        if form.is_valid():
            try:
                return redirect("shipments:feed", feed_id=_take(source, form.cleaned_data, request))
            except TryAgain as error:
                form.add_error(None, f"{error} Try again in {error.retry_after_s:.0f} s.")
            except GanglionError as error:
                form.add_error(next(iter(form.fields)), str(error))
        status = 422
    context = {"forms": bound, "limit": sample.MAX_ROWS, "examples": reads.format_examples()}
    return render(request, "shipments/start.html", context, status=status)


def _take(source: str, cleaned: dict[str, Any], request: HttpRequest) -> str:
    submit = partial(operations.submit, request.user, request=request)
    if source == "upload":
        return intake.take_file(cleaned["file"].read(), cleaned["file"].name, submit)
    if source == "paste":
        return intake.take_file(cleaned["text"].encode(), "pasted rows", submit)
    return intake.take_sample(cleaned["rows"], _seed(cleaned), submit)


def _seed(cleaned: dict[str, Any]) -> int:
    return 7 if cleaned["seed"] is None else int(cleaned["seed"])


@require_GET
@viewer_required
def sample_csv(request: HttpRequest) -> HttpResponse:
    """A sample feed as a file, to look at, to spoil and to upload."""
    form = SampleForm(request.GET or {"rows": 200, "seed": 7})
    if not form.is_valid():
        raise Http404(" ".join(str(words) for errors in form.errors.values() for words in errors))
    data = sample.feed(form.cleaned_data["rows"], _seed(form.cleaned_data))
    return HttpResponse(
        data, content_type="text/csv", headers={"Content-Disposition": 'attachment; filename="shipments-sample.csv"'}
    )


@require_GET
@viewer_required
def board_json(request: HttpRequest) -> HttpResponse:
    """Every shipment that the filter of the address lets through."""
    rows = reads.shipments(reads.BoardFilter.from_params(request.GET))
    return _download([reads.as_json(position) for position in rows], "shipments.json")


@require_GET
@viewer_required
def shipment_json(request: HttpRequest, tracking: str) -> HttpResponse:
    """One shipment with every update of it."""
    position = get_object_or_404(Position, pk=tracking)
    data = {**reads.as_json(position), "track": list(reads.track_as_json(tracking))}
    return _download(data, f"{slugify(position.pk)[:60] or 'shipment'}.json")


def _download(data: Any, name: str) -> HttpResponse:
    """JSON to keep: indented, as an attachment."""
    body = msgspec.json.format(msgspec.json.encode(data), indent=2)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(body, content_type="application/json", headers=headers)
