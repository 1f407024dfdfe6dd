"""Every part of the console beside its name, in both themes; only while developing (``GANGLION_DEBUG``)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard import wording
from dashboard.roles import viewer_required

TONES = ("running", "waiting", "human", "failed", "done", "idle", "takeover")
SURFACES = (
    "bg",
    "surface",
    "raised",
    "sunken",
    "hover",
    "selected",
    "border",
    "border-strong",
    "accent",
    "accent-tint",
)


@require_GET
@viewer_required
def styleguide(request: HttpRequest) -> HttpResponse:
    """The page."""
    context = {"themes": ("light", "dark"), "tones": TONES, "surfaces": SURFACES, "states": wording.states()}
    return render(request, "dashboard/styleguide.html", context)
