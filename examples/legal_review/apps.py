"""The legal review as a Django app."""

from django.apps import AppConfig


class LegalReviewConfig(AppConfig):
    """Contracts: their review by agents, the questions to people, and the report."""

    name = "examples.legal_review"
    label = "legal_review"
    verbose_name = "Legal review"
    workflow_pages = {"legal_review": "legal_review:review"}  # where the console links to
