"""Management commands of the coordination core."""
