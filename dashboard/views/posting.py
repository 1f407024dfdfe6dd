"""Addresses that only take forms: whoever comes by a link or a reload is sent to the page with the form."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import reverse

View = Callable[..., HttpResponseBase]


def post_only(back: str, *kept: str) -> Callable[[View], View]:
    """Take POST; send GET to the route ``back`` with the named parts of the address; refuse anything else."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, /, **kwargs: Any) -> HttpResponseBase:
            if request.method == "POST":
                return view(request, **kwargs)
            if request.method in ("GET", "HEAD"):
                return redirect(reverse(back, kwargs={name: kwargs[name] for name in kept}))
            return HttpResponseNotAllowed(["GET", "POST"])

        return guarded

    return decorate
