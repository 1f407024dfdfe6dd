"""Template tags of this example."""
