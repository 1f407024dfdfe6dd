"""The REST API: the same reads and commands as the console, for programs."""
