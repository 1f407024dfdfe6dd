"""Exit codes, and the error that carries one."""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """How a command ended; documented in docs/cli.md."""

    FAILED = 1  # the workflow failed or was cancelled
    USAGE = 2  # the command or its input is wrong
    NOT_FOUND = 3
    REFUSED = 4  # token missing, wrong, or without the right
    CONFLICT = 5  # already finished or decided
    UNAVAILABLE = 6  # the console or its Redis does not answer
    PENDING = 7  # not finished in time
    BUSY = 8  # too many calls, or new work is refused for now


_BY_STATUS = {
    202: Exit.PENDING,
    401: Exit.REFUSED,
    403: Exit.REFUSED,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    410: Exit.NOT_FOUND,
    429: Exit.BUSY,
    500: Exit.UNAVAILABLE,
    502: Exit.UNAVAILABLE,
    503: Exit.UNAVAILABLE,
    504: Exit.UNAVAILABLE,
}


class CommandFailed(Exception):
    """One line for the person, and an exit code for the script."""

    def __init__(self, message: str, exit_code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    @classmethod
    def from_answer(cls, status: int, body: Any) -> CommandFailed:
        """What the API refused, in its words."""
        message = body.get("message") if isinstance(body, dict) else None
        text = str(message or f"The console answered with status {status}.")
        retry_after_s = body.get("retry_after_s") if isinstance(body, dict) else None
        if retry_after_s:
            text += f" (retry after {float(retry_after_s):.0f} s)"
        return cls(text, _BY_STATUS.get(status, Exit.USAGE))
