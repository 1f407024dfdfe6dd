"""Management commands of the legal review."""
