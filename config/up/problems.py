"""Why ``bin/up`` cannot start."""


class CannotStart(Exception):
    """Something outside the program is not as it must be; the message is one line that says what to do."""
