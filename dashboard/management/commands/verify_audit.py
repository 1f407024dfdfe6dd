"""Check the audit log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard import audit


class Command(BaseCommand):
    """Checks the audit log's chain of hashes."""

    help = "Check that no row of the audit log was changed or taken out. Exit code 1 when one was."

    def handle(self, *args: Any, **options: Any) -> None:
        """Check every row."""
        verdict = audit.verify()
        if not verdict.intact:
            raise CommandError(f"The audit log does not hold at entry {verdict.broken_at}: {verdict.why}.")
        self.stdout.write(f"The audit log is intact: {verdict.entries} entries.")
