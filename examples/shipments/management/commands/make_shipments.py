"""``manage.py make_shipments``: write a sample feed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from examples.shipments import sample


class Command(BaseCommand):
    """Writes a feed of carrier updates, the same for the same seed."""

    help = "Write a feed of carrier updates, the same for the same seed, to a file or to standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--rows", type=int, default=50_000, help="how many rows (default 50,000)")
        parser.add_argument("--seed", type=int, default=7, help="another seed gives other rows (default 7)")
        parser.add_argument("--bad-share", type=float, default=0.01, help="share of bad rows, 0 to 1 (default 0.01)")
        parser.add_argument("--out", type=Path, help="the file to write (default standard output)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the feed."""
        try:
            data = sample.feed(options["rows"], options["seed"], options["bad_share"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        out: Path | None = options["out"]
        if out is None:
            sys.stdout.buffer.write(data)
            return
        try:
            out.write_bytes(data)
        except OSError as error:
            raise CommandError(f"{out} cannot be written: {error.strerror}.") from error
        self.stderr.write(f"{out}: {options['rows']:,} rows, {len(data):,} bytes")
