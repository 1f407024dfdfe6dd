"""Make sure that somebody can administer."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dashboard import accounts, tokens


class Command(BaseCommand):
    """Makes the first administrator, and the token of the command line on this machine."""

    help = "Make the administrator when missing (without a password), and GANGLION_HOME/cli-token; repeatable."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a name."""
        parser.add_argument("username", nargs="?", default="admin")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make both."""
        user = accounts.ensure_admin(options["username"])
        path = tokens.ensure_cli_token(user)
        self.stdout.write(f"{user.get_username()} may administer; the command line's token is in {path}.")
