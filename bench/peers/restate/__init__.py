"""Restate: steps in the handler's own process, and steps as calls to another service."""
