"""People as a Django app of their own, with tables of their own."""

from __future__ import annotations

from django.apps import AppConfig


class PeopleConfig(AppConfig):
    """Sign-ins and preferences; second factors are allauth's."""

    name = "dashboard.people"
    label = "people"
    verbose_name = "People"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Keep a row for each session that begins, and let it begin with what its person prefers."""
        from dashboard.people import preferences, sessions  # noqa: F401 - connect to the signal of a login
