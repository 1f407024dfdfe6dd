"""Let somebody sign in again who has lost every second factor."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.people import factors


class Command(BaseCommand):
    """Takes all second factors from one person."""

    help = "Take a person's apps, passkeys and recovery codes away, so that the password alone lets them in."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a name."""
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        """Take them away."""
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is nobody with the name {options['username']!r}.")
        factors.remove_all(user, "command line")
        self.stdout.write(f"{user.get_username()} signs in without a second factor now.")
