"""In which language the console speaks to whom: what the reader chose, else what their browser asks for.

A choice is kept with the person (``people.preferences``) and stands in each of their sessions; a cookie tells it to
sockets and to the door. Strangers have the cookie alone.

Programs are always spoken to in English: the API, the command line, logs and the audit log (docs/decisions/0021).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

FOR_PROGRAMS = ("/api/", "/metrics", "/healthz", "/readyz")
IN_SESSION = "language"
_YEAR_S = 31_536_000


P = ParamSpec("P")
T = TypeVar("T")


def remembered(function: Callable[P, T]) -> Callable[P, T]:
    """Keep what small words and drawings were made last in each language: the rows of lists say the same ones again."""

    @functools.lru_cache(maxsize=4_096)
    def made(_language: str | None, *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    @functools.wraps(function)
    def found(*args: P.args, **kwargs: P.kwargs) -> T:
        return made(translation.get_language(), *args, **kwargs)  # type: ignore[arg-type]

    return found


def known(language: object) -> bool:
    """Whether the console speaks a language."""
    return language in dict(settings.LANGUAGES)


def chosen(request: HttpRequest) -> str:
    """The language that the reader chose, or nothing: then their browser is followed."""
    mine = _in_session(request)
    found = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "") if mine is None else mine
    return found if known(found) else ""


def keep(request: HttpRequest, response: HttpResponse, language: str) -> None:
    """Let this browser remember a language; none lets it forget."""
    if language:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME, language,
            max_age=_YEAR_S, samesite="Lax", httponly=True, secure=request.is_secure(),
        )  # fmt: skip
    else:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME, samesite="Lax")


def _in_session(request: HttpRequest) -> str | None:
    """What this person chose, empty to follow the browser; None as long as they chose nothing."""
    session = getattr(request, "session", None)  # a request that is refused early has none
    try:
        found: str | None = session.get(IN_SESSION) if session is not None else None
    except DatabaseError:  # the page that says so is in the language of the cookie
        return None
    return found


def of_socket(scope: Mapping[str, Any]) -> str:
    """The language of a WebSocket's reader, told as a page's is: by their cookie, else by their browser."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return _of_browser(scope.get("cookies", {}), headers.get("accept-language", ""))


def _of_browser(cookies: Mapping[str, str], accepted: str) -> str:
    seen: Any = SimpleNamespace(COOKIES=cookies, META={"HTTP_ACCEPT_LANGUAGE": accepted})
    return translation.get_language_from_request(seen)


class LanguageMiddleware(LocaleMiddleware):
    """Each page in its reader's language, every answer to a program in English."""

    def process_request(self, request: HttpRequest) -> None:
        """Choose the language."""
        if request.path_info.startswith(FOR_PROGRAMS):
            language = settings.LANGUAGE_CODE
        else:
            language = chosen(request) or _of_browser({}, request.headers.get("Accept-Language", ""))
        translation.activate(language)
        request.LANGUAGE_CODE = language

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:  # type: ignore[override]
        """Say in which language the answer is."""
        if request.path_info.startswith(FOR_PROGRAMS):
            return response
        answer: HttpResponse = super().process_response(request, response)  # type: ignore[assignment]
        mine = _in_session(request)
        if mine is not None and mine != request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, ""):
            keep(request, answer, mine)
        return answer
