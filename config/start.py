"""The first thing every process of the project does."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from coordination.errors import SettingsError


def name_settings() -> None:
    """Say which settings are Django's, unless somebody has chosen others."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def read_settings() -> None:
    """Read Django's settings; a wrong one ends the process."""
    name_settings()
    from django.conf import settings

    try:
        settings.INSTALLED_APPS  # noqa: B018 - the first use reads them all
    except SettingsError as error:
        refuse(error)


def refuse(error: SettingsError) -> NoReturn:
    """End the process with one line that names the wrong setting.

    Code 2 is what a supervisor does not start again: nothing changes until somebody changes the setting.
    """
    print(error, file=sys.stderr)  # noqa: T201 - nothing is configured that could log it
    sys.exit(2)
