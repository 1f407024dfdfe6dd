"""The pages of the legal review: starting one, following it, reading its report."""

from __future__ import annotations

from typing import Any

import msgspec
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from coordination import files
from coordination.errors import BadRequest, GanglionError, TryAgain
from dashboard import operations
from dashboard.pages import LivePage, Visit, register
from dashboard.roles import allowed, operator_required, viewer_required
from examples.legal_review import report
from examples.legal_review.forms import ReviewForm
from examples.legal_review.questions import BY_A_PERSON
from examples.legal_review.samples import BY_SLUG, SAMPLES
from examples.legal_review.shapes import Document

START = register(
    "legal_review:start",
    LivePage(
        name="legal-review",
        template="legal_review/start.html",
        context=lambda visit: {"recent": report.recent()},
        partials=("recent",),
        topics=lambda visit: {"workflows"},
    ),
)


@require_http_methods(["GET", "HEAD", "POST"])
@viewer_required
def start(request: HttpRequest) -> HttpResponse:
    """Choose a contract, or look at earlier reviews."""
    form = ReviewForm()
    status = 200
    if request.method == "POST":
        if not allowed(request.user, "operate"):
            raise PermissionDenied(
                gettext_noop("Starting a review needs the role operator. Ask an administrator for it.")
            )
        form = ReviewForm(request.POST, request.FILES)
        workflow_id = _submit(request, form) if form.is_valid() else ""
        if workflow_id:
            return redirect("legal_review:review", workflow_id=workflow_id)
        status = 422
    response = START.respond(
        request, {"form": form, "samples": [one._replace(title=_(one.title), shows=_(one.shows)) for one in SAMPLES]}
    )
    response.status_code = status
    return response


def _submit(request: HttpRequest, form: ReviewForm) -> str:
    """The new workflow's id; empty when it was refused, with the reason in the form."""
    key = form.cleaned_data["key"]
    try:
        return operations.submit(
            request.user,
            report.TYPE,
            form.document(),
            key=f"legal-review-{key}" if key else None,
            labels={"source": "console"},
            request=request,
        )
    except TryAgain as error:
        form.add_error(None, f"{error} Your contract was not taken; try again in {error.retry_after_s:.0f} s.")
    except GanglionError as error:
        form.add_error("file" if form.cleaned_data.get("file") else "text", str(error))
    return ""


@require_POST
@operator_required
def run_sample(request: HttpRequest, slug: str) -> HttpResponse:
    """Review a sample document. It is not checked first, as if it had come over the API."""
    sample = BY_SLUG.get(slug)
    if sample is None:
        raise Http404(_("There is no sample %(slug)s.") % {"slug": slug})
    try:
        ref = files.put(sample.path.read_bytes(), sample.file, str(sample.format))
        workflow_id = operations.submit(
            request.user, report.TYPE, Document(file=ref), labels={"source": "sample"}, request=request
        )
    except GanglionError as error:
        messages.error(request, str(error))
        return redirect("legal_review:start")
    return redirect("legal_review:review", workflow_id=workflow_id)


def _review(visit: Visit) -> dict[str, Any]:
    found = report.read(visit.kwargs["workflow_id"])
    if found is None:
        raise Http404(_("There is no review %(workflow_id)s.") % {"workflow_id": visit.kwargs["workflow_id"]})
    return {"report": found, "by_person": BY_A_PERSON.text}


REVIEW = register(
    "legal_review:review",
    LivePage(
        name="legal-review-report",
        template="legal_review/review.html",
        context=_review,
        partials=("lr-heading", "review"),
        topics=lambda visit: {f"workflow.{visit.kwargs['workflow_id']}"},
    ),
)


@require_GET
@viewer_required
def review(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """The report, or how far it is."""
    return REVIEW.respond(request, workflow_id=workflow_id)


@require_GET
@viewer_required
def download_json(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """The report as a JSON file, with who supplied what."""
    found = report.read(workflow_id)
    if found is None or not found.done:
        raise Http404(_("The review %(workflow_id)s has no report yet.") % {"workflow_id": workflow_id})
    body = {
        "workflow": workflow_id,
        "name": found.title,
        "document": found.document.file,
        "pages": found.pages,
        "words": found.words,
        "kind": found.kind,
        "facts": found.facts,
        "issues": found.issues,
        "summary": found.summary,
        "supplied": [{**msgspec.structs.asdict(said.supplied), "by": said.actor} for said in found.said],
    }
    response = HttpResponse(msgspec.json.format(msgspec.json.encode(body)), content_type="application/json")
    return _attachment(response, f"{slugify(found.title)[:60] or 'review'}.json")


@require_GET
@viewer_required
def download_document(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """The reviewed file itself, never shown within the console."""
    found = report.read(workflow_id)
    if found is None or found.document.file is None:
        raise Http404(_("The review %(workflow_id)s has no file.") % {"workflow_id": workflow_id})
    try:
        data = files.read(found.document.file)
    except BadRequest as error:
        raise Http404(str(error)) from error
    stem, _dot, ending = found.document.file.name.rpartition(".")
    response = HttpResponse(data, content_type="application/octet-stream")
    return _attachment(response, f"{slugify(stem)[:60] or 'document'}.{slugify(ending)[:8] or 'bin'}")


def _attachment(response: HttpResponse, name: str) -> HttpResponse:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response
