"""Let somebody in without a password, once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard import accounts, audit


class Command(BaseCommand):
    """Prints a link that logs one person in once."""

    help = "Print a link that logs a person in once, within a quarter of an hour."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a name and an address."""
        parser.add_argument("username", nargs="?", default="admin")
        parser.add_argument("--base-url", default="http://127.0.0.1:8000")
        parser.add_argument("--minutes", type=int, default=accounts.LINK_MINUTES)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the link."""
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(
                f"There is nobody with the name {options['username']!r}. Use ensure_admin for the first."
            )
        link = accounts.make_login_link(user, options["base_url"], minutes=options["minutes"])
        audit.record("command line", "login_link.create", ("user", str(user.pk)))
        self.stdout.write(link)
