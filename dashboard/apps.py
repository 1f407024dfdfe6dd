"""The dashboard as a Django app: roles exist after every migration."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class DashboardConfig(AppConfig):
    """History, escalations, people and the console."""

    name = "dashboard"
    verbose_name = "Ganglion"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Keep the groups of the roles in step with the permissions."""
        post_migrate.connect(_ensure_roles, sender=self, dispatch_uid="dashboard.roles")


def _ensure_roles(using: str = "default", **kwargs: Any) -> None:
    from dashboard.roles import ensure_groups

    ensure_groups(using)
