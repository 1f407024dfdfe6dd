"""Temporal: a workflow with an activity for each step."""
