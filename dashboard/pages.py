"""Pages that stay live: one context serves the first page, the htmx swap and the push over the socket.

A page names the partials of its template that change while it is open; each is swapped into the
element of the same id. Partials hold no token and nothing personal, because readers with the same
permissions and language share one rendering.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import translation

from dashboard.roles import PERMISSIONS, allowed


@dataclass(frozen=True)
class Visit:
    """What decides how a page looks: its address, and what its reader may do."""

    kwargs: Mapping[str, Any]
    query: QueryDict
    verbs: frozenset[str]
    user_id: int | None = None  # only for pages marked personal
    language: str = "en"

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for visits that see the same."""
        return (tuple(sorted(self.kwargs.items())), self.query.urlencode(), self.verbs, self.user_id, self.language)


Context = Callable[[Visit], dict[str, Any]]
Topics = Callable[[Visit], set[str]]


@dataclass(frozen=True, eq=False)
class LivePage:
    """A page object: how it is read, which partials are pushed, and which topics make it change."""

    name: str
    template: str
    context: Context
    partials: tuple[str, ...]
    topics: Topics
    tick_s: float = 0.0  # read again this often while open; 0: only when a topic changed
    verb: str = "view"
    personal: bool = False  # rendered for each person apart
    shared: str = ""  # the part of the address that names what people are shown to look at together; personal only
    extra: dict[str, Any] = field(default_factory=dict)

    def read(self, visit: Visit) -> dict[str, Any]:
        """The context of the template.

        Raises:
            Http404: There is no such object.
        """
        return {**self.extra, **self.context(visit), "query": visit.query, "can": _can(visit.verbs)}

    def fragments(self, visit: Visit) -> tuple[dict[str, str], bool]:
        """Each live partial's HTML by the id of the element that it fills, and whether time alone changes nothing."""
        with translation.override(visit.language):
            context = self.read(visit)
            made: dict[str, str] = {
                name: render_to_string(f"{self.template}#{name}", context) for name in self.partials
            }
        return made, bool(context.get("settled"))

    def respond(self, request: HttpRequest, more: Mapping[str, Any] | None = None, **kwargs: Any) -> HttpResponse:
        """The whole page, or the one partial that an htmx request names as its target."""
        context = self.read(visit_of(request, kwargs, self.personal)) | dict(more or {})
        wanted = (request.headers.get("HX-Target") or "").rpartition("#")[2]
        if request.headers.get("HX-Request") and wanted in self.partials:
            response = render(request, f"{self.template}#{wanted}", context)
        else:
            response = render(request, self.template, context)
        response["Cache-Control"] = "no-store"
        response["Vary"] = "HX-Request, HX-Target, Cookie"
        return response


_PAGES: dict[str, LivePage] = {}


def register(view_name: str, page: LivePage) -> LivePage:
    """Make the page at a route (``workflow``, ``legal_review:review``) live."""
    _PAGES[view_name] = page
    return page


def find(view_name: str) -> LivePage | None:
    """The live page at a route, if that route has one."""
    return _PAGES.get(view_name)


def verbs_of(user: Any) -> frozenset[str]:
    """Everything that a user may do now."""
    return frozenset(verb for verb in PERMISSIONS if allowed(user, verb))


def visit_of(request: HttpRequest, kwargs: Mapping[str, Any], personal: bool = False) -> Visit:
    """The visit that a request makes."""
    user_id = request.user.pk if personal else None
    return Visit(dict(kwargs), request.GET, verbs_of(request.user), user_id, translation.get_language() or "en")


def _can(verbs: frozenset[str]) -> dict[str, bool]:
    return {verb: verb in verbs for verb in PERMISSIONS}


@functools.cache
def load() -> None:
    """Import every view module, so that all pages are registered."""
    from django.urls import get_resolver

    get_resolver().url_patterns  # noqa: B018 - importing the routes imports the views
