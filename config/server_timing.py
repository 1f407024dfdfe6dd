"""Says in each answer how long the console had the request, where browsers' tools show it."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from config.page_handler import ARRIVED


class ServerTiming:
    """Adds ``Server-Timing: app;dur=<milliseconds>`` from a request's arrival, waiting for a thread included.

    For pages of who is signed in: a stranger who guesses would learn from exact times.
    """

    def __init__(self, answer: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, and say what it took."""
        response = self._answer(request)
        began = getattr(request, "scope", {}).get(ARRIVED)  # none where a test calls a view without a server
        # noted further in: out here the database may be away
        if began is not None and getattr(request, "signed_in", False):
            response.headers["Server-Timing"] = f"app;dur={(time.perf_counter() - began) * 1000:.1f}"
        return response
