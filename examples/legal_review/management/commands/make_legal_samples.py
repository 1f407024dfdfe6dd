"""``manage.py make_legal_samples``: write the sample documents again from their texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    """Writes every sample file; needs reportlab, which only development installs."""

    help = "Write the sample documents of the legal review from their texts."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to write."""
        parser.add_argument("--folder", type=Path, default=None, help="instead of the samples' own folder")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the files and say how large they are."""
        from examples.legal_review import sample_files, samples

        folder: Path = options["folder"] or samples.FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for name, data in sample_files.make(samples.TEXTS):
                (folder / name).write_bytes(data)
                self.stdout.write(f"{folder / name}: {len(data):,} bytes")
        except ModuleNotFoundError as error:
            raise CommandError(f"{error.name} is missing: pip install -r requirements-dev.txt") from error
