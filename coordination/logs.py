"""How daemons log: one plain line an event, with its action and its facts; a supervisor or journald adds the time."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, TextIO

import structlog


def configure(stream: TextIO | None = None) -> None:
    """Make structlog write lines like ``WARNING agent.lost: agent is dead agent=legal-3f silent_ms=2104``.

    ``GANGLION_LOG_LEVEL`` says from which level on; below it a call costs next to nothing.
    """
    level = getattr(logging, os.environ.get("GANGLION_LOG_LEVEL", "INFO").upper(), logging.INFO)
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, _line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=True,
    )


def _line(_logger: Any, _method: str, event: Any) -> str:
    level = str(event.pop("level", "info")).upper()
    action = event.pop("action", "")
    text = event.pop("event", "")
    exception = event.pop("exception", "")
    facts = " ".join(f"{name}={_fact(value)}" for name, value in event.items())
    line = f"{level} {action}: {text}" if action else f"{level} {text}"
    return "\n".join(part for part in (f"{line} {facts}".rstrip(), exception) if part)


def _fact(value: Any) -> str:
    text = str(value) if isinstance(value, str | int | float) else repr(value)
    text = text.replace("\n", " ")
    return f'"{text}"' if " " in text else text
