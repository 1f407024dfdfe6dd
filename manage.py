#!/usr/bin/env python
"""Django's commands for Ganglion."""

import sys

from config import start
from coordination.errors import SettingsError


def main() -> None:
    """Run one management command."""
    start.name_settings()
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except SettingsError as error:
        start.refuse(error)


if __name__ == "__main__":
    main()
