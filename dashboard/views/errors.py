"""Pages for what went wrong: what happened, to what, and what to do."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _

from coordination.errors import TryAgain
from dashboard.retelling import retold
from dashboard.views.frame import theme_of

log = logging.getLogger(__name__)


class SayWhatIsAway:
    """Middleware: a page that cannot be made because a server is away or busy answers 503 in words, not 500.

    What is nested so deeply that it cannot be read answers 400.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """503 for what a later try may mend; anything else goes its way."""
        if isinstance(exception, RecursionError):
            log.warning("%s %s answered 400: nested too deeply", request.method, request.path)
            return bad_request(request, exception)
        words = _away(exception)
        if words is None:
            return None
        log.warning("%s %s answered 503: %s", request.method, request.path, exception)
        return unavailable(request, words)


def _away(exception: BaseException | None) -> str | None:
    """What to say when a server is away or busy, or nothing when it is a fault of the console."""
    if isinstance(exception, TryAgain):
        words = _("%(what)s Nothing was changed; what was accepted before is safe. Try again in a moment.")
        return words % {"what": retold(str(exception))}
    if isinstance(exception, OperationalError | InterfaceError):
        return _(
            "The database is busy or away, so this page cannot be read or written. Running workflows do not need it"
            " and go on. Try again in a moment."
        )
    return None


def _page(request: HttpRequest, status: int, title: str, words: str) -> HttpResponse:
    context = {"status": status, "title": title, "words": words, "theme": theme_of(request)}
    return render(request, "dashboard/error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400."""
    return _page(request, 400, _("This request cannot be understood"), _("Go back, reload the page and try again."))


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403, with the words of whoever refused."""
    return _page(
        request, 403, _("You may not do this"), _(str(exception or "")) or _("Ask an administrator for the role.")
    )


def csrf_failure(request: HttpRequest, reason: str = "", **kwargs: Any) -> HttpResponse:
    """403 for a form that this console did not make, or that is too old."""
    return _page(
        request, 403, _("This form is too old"), _("Nothing was changed. Go back, reload the page and send it again.")
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404, with the words of the view when it has some."""
    said = str(exception.args[0]) if exception is not None and exception.args else ""
    words = said if said and not said.startswith("{") else _("There is nothing at this address.")
    return _page(request, 404, _("Not found"), words)


def failed(request: HttpRequest) -> HttpResponse:
    """500: a fault of the console; nothing that was accepted is lost. 503 when a middleware found a server away."""
    if (away := _away(sys.exc_info()[1])) is not None:
        return unavailable(request, away)
    words = _("The console itself failed here; workflows are not affected. Reload, and look into the log of web.")
    return _page(request, 500, _("The console made a mistake"), words)


def unavailable(request: HttpRequest, words: str) -> HttpResponse:
    """503 for what cannot be done right now."""
    response = _page(request, 503, _("Not possible right now"), words)
    response["Retry-After"] = "5"
    return response
