"""Celery's client, as it is without Flower: what it sends about each task follows from the application's settings."""

from bench.peers.celery.client import connected

__all__ = ["connected"]
