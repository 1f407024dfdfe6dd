"""In which language the console speaks to whom: what the reader chose, else what their browser asks for.

Programs are always spoken to in English: the API, the command line, logs and the audit log (docs/decisions/0021).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

FOR_PROGRAMS = ("/api/", "/metrics", "/healthz", "/readyz")


def known(language: object) -> bool:
    """Whether the console speaks a language."""
    return language in dict(settings.LANGUAGES)


def of_socket(scope: Mapping[str, Any]) -> str:
    """The language of a WebSocket's reader, told as a page's is: by their cookie, else by their browser."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    seen: Any = SimpleNamespace(
        COOKIES=scope.get("cookies", {}), META={"HTTP_ACCEPT_LANGUAGE": headers.get("accept-language", "")}
    )
    return translation.get_language_from_request(seen)


class LanguageMiddleware(LocaleMiddleware):
    """Each page in its reader's language, every answer to a program in English."""

    def process_request(self, request: HttpRequest) -> None:
        """Choose the language."""
        if request.path_info.startswith(FOR_PROGRAMS):
            translation.activate(settings.LANGUAGE_CODE)
            request.LANGUAGE_CODE = settings.LANGUAGE_CODE
        else:
            super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:  # type: ignore[override]
        """Say in which language the answer is."""
        if request.path_info.startswith(FOR_PROGRAMS):
            return response
        answer: HttpResponse = super().process_response(request, response)  # type: ignore[assignment]
        return answer
