"""``manage.py run_coordinator``: one coordinator host."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from coordination import catalog, logs
from coordination.errors import SettingsError
from coordination.running import serve


class Command(BaseCommand):
    """Runs workflows until SIGTERM, then hands them over."""

    help = "Run a coordinator host: workflows, and the watchdog over its peers."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--name", default="coordinator", help="label in front of the host's id")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped."""
        logs.configure()
        try:
            catalog.discover()
            serve(options["name"])
        except SettingsError as error:
            raise CommandError(str(error), returncode=2) from None
