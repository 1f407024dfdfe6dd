"""Answers each request in one thread of a few that stay.

Django's own handler starts a thread for each request and changes three times between it and the event loop. Each
change waits for its turn among the threads that render pages. A database connection lasts as long as its request.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest
from django.http.response import HttpResponseBase

ARRIVED = "ganglion.arrived"  # in a request's scope: when it did, by time.perf_counter()
_THREADS = 96  # half as many again as callers of the API may wait (MOST_WAITS), so that pages have some left


class PageHandler(ASGIHandler):
    """Django's ASGI handler, which runs middleware and view as plain functions, one after the other in one thread."""

    def __init__(self) -> None:
        super().__init__()
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="page")
        self._in_thread = sync_to_async(self._answer, thread_sensitive=False, executor=threads)
        for receiver in (close_old_connections, reset_queries):  # they would run in another thread
            request_started.disconnect(receiver)

    def load_middleware(self, is_async: bool = False) -> None:
        """Load it as functions, whichever way Django would prefer."""
        super().load_middleware(is_async=False)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        scope[ARRIVED] = time.perf_counter()
        await self.handle(scope, receive, send)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """The response, made in one of the threads; if its client goes away, the thread comes to its end first."""
        answer = asyncio.ensure_future(self._in_thread(request))
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:  # what is cancelled takes the request's body along
            await asyncio.wait([answer])
            raise

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        try:
            return self.get_response(request)
        finally:
            reset_queries()
            close_old_connections()
