#!/usr/bin/env python
"""Django's commands for Ganglion."""

import sys

from config.start import read_settings


def main() -> None:
    """Run one management command."""
    read_settings()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
