"""Django management commands of the agents."""
