"""What a person prefers is kept with them, and stands in every session of theirs from its first page on."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import UpdateError
from django.dispatch import receiver
from django.http import HttpRequest

from dashboard import audit
from dashboard.language import IN_SESSION
from dashboard.people import sessions
from dashboard.people.models import Preference


@receiver(user_logged_in)
def _begin(sender: Any, request: HttpRequest | None, user: Any, **more: Any) -> None:
    language = Preference.objects.filter(user=user).values_list("language", flat=True).first()
    if request is not None and language is not None:
        request.session[IN_SESSION] = language


def choose_language(request: HttpRequest, language: str) -> None:
    """Keep the language that somebody chose, in all of their sessions; an empty one follows each browser again."""
    assert isinstance(request.user, User)
    before = Preference.objects.filter(user=request.user).values_list("language", flat=True).first()
    if before == language:
        return
    request.session[IN_SESSION] = language
    Preference.objects.update_or_create(user=request.user, defaults={"language": language})
    for elsewhere in sessions.elsewhere(request):
        elsewhere[IN_SESSION] = language
        try:
            elsewhere.save()
        except UpdateError:  # it has ended meanwhile
            continue
    audit.record(
        request.user, "user.language", ("user", str(request.user.pk)),
        before={"language": before}, after={"language": language}, request=request,
    )  # fmt: skip
