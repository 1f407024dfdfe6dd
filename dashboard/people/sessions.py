"""The sessions of a person: kept when they begin, marked when they are used, ended from afar."""

from __future__ import annotations

import datetime as dt
import importlib
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from dashboard import audit
from dashboard.people.models import SignIn

EVERY = dt.timedelta(minutes=5)  # how exactly the last use is known
_MARK = "sign_in_marked"

_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Windows", "Windows"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


def browser_words(agent: str) -> str:
    """A browser's own name of itself in a few words."""
    browser = next((words for mark, words in _BROWSERS if mark in agent), "")
    system = next((words for mark, words in _SYSTEMS if mark in agent), "")
    if not browser:
        return re.sub(r"[^\w ./-]", "", agent)[:60] or "unknown"
    return f"{browser} on {system}" if system else browser


@receiver(user_logged_in)
def _begin(sender: Any, request: HttpRequest | None, user: Any, **more: Any) -> None:
    if request is None:
        return
    if not request.session.session_key:
        request.session.save()
    now = timezone.now()
    SignIn.objects.update_or_create(
        session_key=request.session.session_key,
        defaults={
            "user": user, "began_at": now, "seen_at": now, "address": audit.address_of(request),
            "browser": browser_words(request.headers.get("User-Agent", "")),
        },
    )  # fmt: skip


def living(user: Any) -> list[SignIn]:
    """Where somebody is signed in now, latest first; what has run out is cleared away."""
    rows = list(SignIn.objects.filter(user=user).order_by("-seen_at"))
    store = _store()
    gone = [row.pk for row in rows if not store.exists(row.session_key)]
    if gone:
        SignIn.objects.filter(pk__in=gone).delete()
    return [row for row in rows if row.pk not in gone]


def elsewhere(request: HttpRequest) -> list[Any]:
    """What is stored for each other session of who asks."""
    rows = living(request.user)
    return [_store(row.session_key) for row in rows if row.session_key != request.session.session_key]


def end(row: SignIn, actor: Any, request: HttpRequest | None = None) -> None:
    """Sign somebody out there; open pages are cut off within seconds."""
    _store().delete(row.session_key)
    audit.record(actor, "user.sign_out", ("user", str(row.user_id)), after={"browser": row.browser}, request=request)
    row.delete()


def clear_expired() -> None:
    """Delete what is stored for sessions that have run out, strangers' among them."""
    _engine().clear_expired()


def _store(session_key: str | None = None) -> Any:
    return _engine()(session_key)


def _engine() -> Any:
    return importlib.import_module(settings.SESSION_ENGINE).SessionStore


class MarkUse:
    """Notes, every few minutes, that a session is used."""

    def __init__(self, answer: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, and note it."""
        session = getattr(request, "session", None)
        if session is not None and request.method == "GET" and request.user.is_authenticated:
            request.signed_in = True  # type: ignore[attr-defined]
            now = timezone.now()
            if now.timestamp() - session.get(_MARK, 0) > EVERY.total_seconds():
                session[_MARK] = int(now.timestamp())
                SignIn.objects.filter(session_key=session.session_key).update(seen_at=now)
        return self._answer(request)
