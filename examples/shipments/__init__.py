"""Carrier updates at volume: one workflow for each row of a feed."""
