"""Celery canvas with the monitoring that its documentation recommends."""
