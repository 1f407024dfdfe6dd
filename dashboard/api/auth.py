"""Who calls: a bearer token, or the session of the console together with a CSRF token."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from coordination.errors import BadRequest
from dashboard import accounts, audit, tokens
from dashboard.api import limits
from dashboard.roles import allowed

_ROLE = {"view": "viewer", "operate": "operator", "approve": "approver", "administer": "admin"}
_SCOPE = {"view": "read", "operate": "operate", "approve": "approve", "administer": "admin"}


class Refused(BadRequest):
    """The caller may not do this."""

    code = "forbidden"


class Bearer(HttpBearer):
    """``Authorization: Bearer gang_…``"""

    def __init__(self, verb: str) -> None:
        super().__init__()
        self.verb = verb

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        """The token's owner, when its scope and the owner's role allow the call."""
        found = tokens.authenticate(token.strip())
        if found is None:
            limits.check(f"failed:{audit.address_of(request)}", limits.FAILURES_PER_MINUTE)
            return None
        limits.check(f"token:{found.pk}")
        if not tokens.permits(found, self.verb):
            raise Refused(f"This needs a token with the scope {_SCOPE[self.verb]} of a person who may do it.")
        request.user = found.user
        request.api_token = found  # type: ignore[attr-defined]
        return found.user


class Session(APIKeyCookie):
    """The console's session."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self, verb: str) -> None:
        super().__init__(csrf=False)
        self.verb = verb

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        """The person who is logged in, when their role allows the call."""
        user = request.user
        if not isinstance(user, User) or not user.is_authenticated:
            return None
        if check_csrf(request) is not None:
            raise Refused("The CSRF token is missing or wrong: send it in X-CSRFToken, or use a bearer token.")
        limits.check(f"user:{user.pk}")
        if not allowed(user, self.verb):
            raise Refused(f"This needs the role {_ROLE[self.verb]}.")
        return user


def may(verb: str) -> list[Any]:
    """The ways to be let into an operation that needs a verb of ``roles.PERMISSIONS``."""
    return [Bearer(verb), Session(verb)]


def permitted(request: HttpRequest, verb: str) -> bool:
    """Whether the caller may do this too: by role, and by the token's scope when a token was sent."""
    token = getattr(request, "api_token", None)
    return tokens.permits(token, verb) if token is not None else allowed(request.user, verb)


def confirmed(request: HttpRequest) -> None:
    """Refuse a session of long ago for what reaches far; a token was made for it.

    Raises:
        ConfirmationNeeded: Sign in again, or send a token.
    """
    if getattr(request, "api_token", None) is None:
        accounts.confirm(request)


def caller(request: HttpRequest) -> User:
    """Who calls."""
    user = request.user
    assert isinstance(user, User)
    return user
