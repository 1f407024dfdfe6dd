"""``manage.py train_legal_review``: train the classifier of contracts when its texts have changed."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Trains only when no model for the present texts and libraries is stored."""

    help = "Train the classifier of the legal review, unless the stored one is up to date."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Train and store, or say that nothing is to be done."""
        from examples.legal_review import classification

        path = classification.model_path()
        if classification.load(path) is not None:
            self.stdout.write(f"The classifier is up to date: {path}")
            return
        begun = time.monotonic()
        trained = classification.train()
        classification.store(trained, path)
        took = time.monotonic() - begun
        self.stdout.write(f"Trained the classifier on {len(trained.idf):,} terms in {took:.1f} s: {path}")
