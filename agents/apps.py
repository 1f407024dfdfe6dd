"""Agents as a Django application, for its management command."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    """Gives ``manage.py run_agent``."""

    name = "agents"
    label = "agents"
    verbose_name = "Agents"
