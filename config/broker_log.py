"""Celery's trouble with its broker in one line each: Celery itself adds the whole way through its code."""

from __future__ import annotations

import logging

_ITS_PACKAGES = ("celery", "kombu", "redis")  # by name, because most processes import none of them


class OneLine(logging.Filter):
    """Shortens what Celery says of a broker that is away or refuses; it tries again by itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass everything on."""
        error = record.exc_info[1] if record.exc_info else None
        if record.name.startswith(("celery.", "kombu.")) and error is not None and _of_broker(error):
            said = " ".join(str(error).split())
            record.msg, record.args = "periodic jobs wait for their broker: %s", (said,)
            record.exc_info = record.exc_text = None
        return True


def _of_broker(error: BaseException) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _ITS_PACKAGES
