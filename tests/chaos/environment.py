"""Variables of the environment for a while."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from coordination.config import current


@contextlib.contextmanager
def environment(settings: dict[str, str]) -> Iterator[None]:
    """Set variables inside the block, for this process and those that it starts."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    current.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        current.cache_clear()
