"""Histories of any length, made in bulk in the shape that the mirror gives them, and kept for the next time."""
