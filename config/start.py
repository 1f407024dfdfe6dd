"""The first thing every process of the project does."""

from __future__ import annotations

import os
import sys

from coordination.errors import SettingsError


def read_settings() -> None:
    """Read Django's settings; a wrong one ends the process with code 2 and one line that names it.

    Code 2 is what a supervisor does not start again: nothing changes until somebody changes the setting.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings

    try:
        settings.INSTALLED_APPS  # noqa: B018 - the first use reads them all
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - nothing is configured that could log it
        sys.exit(2)
