"""Commands of this example."""
