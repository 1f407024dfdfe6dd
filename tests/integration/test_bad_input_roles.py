"""Every address that takes a form refuses those who may only look, and strangers; none is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from coordination.config import Config

pytestmark = pytest.mark.django_db(transaction=True)

# what everybody does for themselves, and what only tells how the console is
OWN = {
    "theme/",
    "language/",
    "password/",
    "settings/tokens/",
    "revoke/",
    "login/",
    "logout/",
    "login/once/x/",
    "login/second/",
    "login/passkey/",
    "profile/app/",
    "passkey/options/",
    "profile/passkey/",
    "profile/change/",
    "sessions/1/",
    "settings/confirm/",
    "audit/export/",
    "/seen/",
    "views/save/",
    "views/1/delete/",
    "healthz",
    "readyz",
    "metrics",
}


def addresses(patterns: list[URLPattern | URLResolver] | None = None, before: str = "/") -> Iterator[str]:
    """One address of each route of the pages."""
    for one in get_resolver().url_patterns if patterns is None else patterns:
        here = before + re.sub(
            r"<(?:\w+:)?\w+>", "x", re.sub(r"<int:\w+>", "1", re.sub(r"<uuid:\w+>", str(UUID(int=1)), str(one.pattern)))
        )
        if here.startswith("/api/"):
            continue
        if isinstance(one, URLResolver):
            yield from addresses(one.url_patterns, here)
        else:
            yield here


def test_who_may_only_look_sends_nothing(config: Config) -> None:
    viewer = User.objects.create(username="vera")
    viewer.groups.set([Group.objects.get(name="viewer")])
    looking, stranger = Client(raise_request_exception=False), Client(raise_request_exception=False)
    looking.force_login(viewer)
    asked = [address for address in addresses() if not any(address.endswith(own) for own in OWN)]
    assert "/workflows/x/cancel/" in asked and "/runs/shipments/start/" in asked
    assert len(asked) > 30
    refused = []
    for address in asked:
        status = looking.post(address).status_code
        assert status in (403, 405), (address, status)
        refused += [address] if status == 403 else []
        away = stranger.post(address)
        assert away.status_code in (403, 405) or "/login/" in away.headers.get("Location", ""), (address, away)
    assert len(refused) > 15
