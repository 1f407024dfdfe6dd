"""Celery canvas: a chain with a chord in it."""
