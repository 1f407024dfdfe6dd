"""The sample documents: what each is, and what it shows.

The files in ``samples/`` are made from ``sample_texts/`` by ``manage.py make_legal_samples`` and
kept with the code, so that a review can be tried without any tool.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from django.utils.translation import gettext_noop

from examples.legal_review.documents import Format

FOLDER = Path(__file__).parent / "samples"
TEXTS = Path(__file__).parent / "sample_texts"


class Sample(NamedTuple):
    """One sample document."""

    slug: str
    file: str
    title: str
    shows: str  # what a person learns from running it
    pages: int
    format: Format
    asks: bool  # whether a person will be asked

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return FOLDER / self.file

    @property
    def kind(self) -> str:
        """The format in one word."""
        return self.format.name if self.format is not Format.TEXT else "text"


SAMPLES = (
    Sample(
        "mutual-nda", "mutual-nda.pdf", gettext_noop("Mutual non-disclosure agreement"),
        gettext_noop("A clean contract: reviewed from end to end without a question."), 3, Format.PDF, False,
    ),
    Sample(
        "warehouse-lease", "warehouse-lease.pdf", gettext_noop("Warehouse lease"),
        gettext_noop("Its dates contradict each other, so a person is asked which ones hold."), 3, Format.PDF, True,
    ),
    Sample(
        "services-agreement", "services-agreement.pdf", gettext_noop("Cleaning services agreement"),
        gettext_noop("The client's name is left blank, so a person is asked who it is."), 3, Format.PDF, True,
    ),
    Sample(
        "loan-agreement", "loan-agreement.pdf", gettext_noop("Secured term loan agreement"),
        gettext_noop("Forty pages with schedules; a term that nobody defined hides in them."), 40, Format.PDF, False,
    ),
    Sample(
        "employment-contract", "employment-contract.docx", gettext_noop("Employment contract"),
        gettext_noop("A Word document that ends without a place to sign."), 1, Format.DOCX, False,
    ),
    Sample(
        "bill-of-sale", "bill-of-sale.txt", gettext_noop("Bill of sale for a car"),
        gettext_noop("One page of plain text that names no governing law, so a person is asked."), 1, Format.TEXT, True,
    ),
    Sample(
        "scanned-lease", "scanned-lease.pdf", gettext_noop("Scanned tenancy agreement"),
        gettext_noop("A picture without text: a person types its words, or declines the review."), 1, Format.PDF, True,
    ),
    Sample(
        "encrypted-purchase", "encrypted-purchase.pdf", gettext_noop("Purchase agreement behind a password"),
        gettext_noop("What happens to an encrypted file that reaches an agent: a person takes over."),
        1, Format.PDF, True,
    ),
)  # fmt: skip

BY_SLUG = {sample.slug: sample for sample in SAMPLES}
