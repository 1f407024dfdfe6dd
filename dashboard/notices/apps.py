"""The notices as a Django app of their own, with tables of their own."""

from __future__ import annotations

from django.apps import AppConfig


class NoticesConfig(AppConfig):
    """Incidents, channels, policies and messages."""

    name = "dashboard.notices"
    label = "notices"
    verbose_name = "Notices"
    default_auto_field = "django.db.models.BigAutoField"
