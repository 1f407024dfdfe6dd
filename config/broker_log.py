"""What libraries say of a Redis that is away, in one line each: they add the whole way through their code."""

from __future__ import annotations

import logging

_ITS_PACKAGES = ("celery", "kombu", "redis")  # by name, because most processes import none of them


_WAITING = {
    "celery": "periodic jobs wait for their broker",
    "kombu": "periodic jobs wait for their broker",
    "channels_redis": "live pages wait for Redis",
}


class OneLine(logging.Filter):
    """Shortens what Celery and Channels say of a server that is away or refuses; they try again by themselves."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass everything on."""
        error = record.exc_info[1] if record.exc_info else None
        waiting = _WAITING.get(record.name.partition(".")[0])
        if waiting is not None and error is not None and _of_broker(error):
            record.msg, record.args = "%s: %s", (waiting, " ".join(str(error).split()))
            record.exc_info = record.exc_text = None
        return True


def _of_broker(error: BaseException) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _ITS_PACKAGES
