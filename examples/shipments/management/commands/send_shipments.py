"""``manage.py send_shipments``: take a feed in from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from coordination.errors import GanglionError
from examples.shipments import intake


class Command(BaseCommand):
    """Takes a feed in, and prints the id of its workflow."""

    help = "Take a feed of carrier updates in; each row becomes a workflow. Prints the id of the feed's workflow."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("file", help="a CSV file, or - for standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        """Take the feed in."""
        name: str = options["file"]
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            feed_id = intake.take_file(data, Path(name).name if name != "-" else "standard input")
        except OSError as error:
            raise CommandError(f"{name} cannot be read: {error.strerror}.") from error
        except GanglionError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(feed_id)
