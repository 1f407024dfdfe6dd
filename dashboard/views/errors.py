"""Pages for what went wrong: what happened, to what, and what to do."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dashboard.views.frame import theme_of


def _page(request: HttpRequest, status: int, title: str, words: str) -> HttpResponse:
    context = {"status": status, "title": title, "words": words, "theme": theme_of(request)}
    return render(request, "dashboard/error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400."""
    return _page(request, 400, "This request cannot be understood", "Go back, reload the page and try again.")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403, with the words of whoever refused."""
    return _page(request, 403, "You may not do this", str(exception or "") or "Ask an administrator for the role.")


def csrf_failure(request: HttpRequest, reason: str = "", **kwargs: Any) -> HttpResponse:
    """403 for a form that this console did not make, or that is too old."""
    return _page(
        request, 403, "This form is too old", "Nothing was changed. Go back, reload the page and send it again."
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404, with the words of the view when it has some."""
    said = str(exception.args[0]) if exception is not None and exception.args else ""
    words = said if said and not said.startswith("{") else "There is nothing at this address."
    return _page(request, 404, "Not found", words)


def failed(request: HttpRequest) -> HttpResponse:
    """500: a fault of the console; nothing that was accepted is lost."""
    words = "The console itself failed here; workflows are not affected. Reload, and look into the log of web."
    return _page(request, 500, "The console made a mistake", words)


def unavailable(request: HttpRequest, words: str) -> HttpResponse:
    """503 for what cannot be done right now."""
    response = _page(request, 503, "Not possible right now", words)
    response["Retry-After"] = "5"
    return response
