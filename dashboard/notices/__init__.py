"""Tells people of escalations: an incident for each cause, a chain of levels, each message delivered with a status."""
