"""Faults on purpose: random workflows with known outcomes, real processes killed, and a checker at the end."""
