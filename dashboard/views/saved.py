"""Saving and deleting the team's views of a list."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from coordination.errors import BadRequest
from dashboard import saved_views
from dashboard.bulk_models import SavedView
from dashboard.roles import viewer_required
from dashboard.views.posting import post_only


def with_views(request: HttpRequest, page: str) -> dict[str, Any]:
    """What a list's page needs to offer the team's views: each with whether this person may delete it."""
    found = [(view, saved_views.may_delete(request.user, view)) for view in saved_views.views(page)]
    return {"saved_views": found, "page_name": page}


@post_only("overview")
@viewer_required
def save(request: HttpRequest) -> HttpResponse:
    """Keep the list as it is narrowed down now, under a name."""
    page = request.POST.get("page", "")
    query = request.POST.get("query", "").removeprefix("?")
    try:
        made = saved_views.save(request.user, page, request.POST.get("name", ""), query, request)
    except BadRequest as error:
        messages.error(request, str(error))
        back = reverse(page) if page in SavedView.PAGES else reverse("overview")
        return redirect(f"{back}?{query}" if query else back)
    messages.success(request, _("The view “%(made)s” is saved for everybody.") % {"made": made.name})
    return redirect(f"{reverse(page)}?{made.query}")


@post_only("overview")
@viewer_required
def delete(request: HttpRequest, view_id: int) -> HttpResponse:
    """Take a view away."""
    view = get_object_or_404(SavedView, pk=view_id)
    page, name = view.page, view.name
    try:
        saved_views.delete(request.user, view, request)
    except BadRequest as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The view “%(name)s” is deleted.") % {"name": name})
    return redirect(page)
