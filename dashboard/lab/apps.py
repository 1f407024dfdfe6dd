"""The lab as a Django app of its own, with a table of its own."""

from __future__ import annotations

from django.apps import AppConfig


class LabConfig(AppConfig):
    """Experiments and what they showed."""

    name = "dashboard.lab"
    label = "lab"
    verbose_name = "Lab"
    default_auto_field = "django.db.models.BigAutoField"
