"""Who may open a live socket: pages of this very console, as its forms are only taken from there."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host

_USUAL_PORTS = {"http": "80", "https": "443"}


class SameOrigin:
    """Refuses a socket unless its Origin has the host and port that it was asked of, or is a trusted origin.

    A host name alone is not enough: browsers send cookies to every port of a host, so another program
    on the same machine could else listen to a reader's pages.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        """Pass on, or deny."""
        if is_same_origin(_header(scope, b"origin"), _header(scope, b"host")):
            return await self._application(scope, receive, send)
        return await WebsocketDenier()(scope, receive, send)


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of ``origin`` and a request to ``host`` belong together, and ``host`` is one of ours."""
    try:
        parts = urlsplit(origin)
        asked_host, asked_port = split_domain_port(host.lower())
        usual = _USUAL_PORTS[parts.scheme]
        named = split_domain_port(parts.netloc.lower())
    except (ValueError, KeyError):
        return False
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    if not asked_host or not validate_host(asked_host, settings.ALLOWED_HOSTS):
        return False
    if settings.TLS and parts.scheme != "https":
        return False
    return (named[0], named[1] or usual) == (asked_host, asked_port or usual)


def _header(scope: dict[str, Any], name: bytes) -> str:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else ""
