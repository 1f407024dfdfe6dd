"""``manage.py welcome``: the way in for the person at this machine."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dashboard import accounts, tokens


class Command(BaseCommand):
    """Prints a one-time login link for the administrator, and keeps the command line's token valid."""

    help = "Print a one-time login link for the administrator, and keep the command line's token file valid."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The console's address, which only the caller knows."""
        parser.add_argument("--base-url", default="http://127.0.0.1:8000", help="where the console answers")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the link."""
        user = accounts.ensure_admin()
        tokens.ensure_cli_token(user)
        self.stdout.write(accounts.make_login_link(user, options["base_url"]))
