"""The same agents, each of which really waits."""
