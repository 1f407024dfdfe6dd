"""What the status of an HTTP answer means for an attempt, whatever the agent speaks."""

from __future__ import annotations

import httpx

from coordination.errors import FinalError, RetryableError

_LATER = frozenset({408, 425, 429})


def check_status(who: str, status: int, headers: httpx.Headers, said: str = "") -> None:
    """Let pass what carries an answer, a refusal (4xx) included.

    Raises:
        FinalError: A redirect; none is followed.
        RetryableError: It may work later, after the seconds that the answer names.
    """
    if 300 <= status < 400:
        raise FinalError(
            f"{who} answered with a redirect ({status}), which is not followed: register the right address."
        )
    if status in _LATER or status >= 500:
        words = f": {said}" if said else ""
        raise RetryableError(f"{who} answered {status}{words}.", retry_after_s=_seconds(headers.get("retry-after")))


def refusal(who: str, status: int, raw: bytes) -> FinalError:
    """A refusal that says nothing in a known form."""
    return FinalError(f"{who} refused the task with status {status}: {raw[:300].decode('utf-8', 'replace')}")


def _seconds(text: str | None) -> float | None:
    return min(3600.0, float(text)) if text and text.isdigit() else None
