"""What a handler raised, as it is stored and shown: never more than 8 KiB of text."""

from __future__ import annotations

import math
import traceback

import msgspec

from agents.handlers import InvalidInput, InvalidResult, invalid
from coordination.domain import ErrorInfo, said, storable
from coordination.errors import AgentError, FinalError, RetryableError

_MESSAGE_BYTES = 1_500
_TRACEBACK_BYTES = 4_500
_LAST_LINE_BYTES = 500
_DETAILS_BYTES = 1_800


class ChildError(AgentError):
    """A handler failed in its child process; carries the failure as it is stored."""

    def __init__(self, info: ErrorInfo, retry_after_s: float | None = None) -> None:
        super().__init__(info.message)
        self.info = info
        self.retry_after_s = retry_after_s


def describe(error: BaseException) -> tuple[ErrorInfo, float | None]:
    """The failure as it is stored, and the delay the handler asked for before the next attempt."""
    if isinstance(error, InvalidInput | InvalidResult):
        info = invalid(error)
        return ErrorInfo(info.kind, _head(info.message, _MESSAGE_BYTES), info.retryable), None
    if isinstance(error, ChildError):
        return error.info, error.retry_after_s
    message = _head(said(error) or type(error).__name__, _MESSAGE_BYTES)
    kind = type(error).__name__
    if isinstance(error, FinalError):
        return ErrorInfo(kind, message, retryable=False, details=_details(error)), None
    trace = _trace(error, f"{kind}: {message}")
    after = _delay_s(error.retry_after_s) if isinstance(error, RetryableError) else None
    return ErrorInfo(kind, message, traceback="" if isinstance(error, RetryableError) else trace), after


def _delay_s(asked: object) -> float | None:
    """The delay that a handler asked for, when it is one."""
    return float(asked) if isinstance(asked, int | float) and not math.isnan(asked) else None


def timed_out(timeout_s: float, moved: bool) -> ErrorInfo:
    """A handler that used up its time."""
    since = "its last progress report" if moved else "its claim"
    return ErrorInfo("Timeout", f"The agent did not finish within {timeout_s:g} s of {since}.")


def _trace(error: BaseException, last_line: str) -> str:
    """The innermost calls and, whatever their size, the exception's own line."""
    last = _head(last_line, _LAST_LINE_BYTES)
    calls = "".join(traceback.format_tb(error.__traceback__, limit=-20))
    return _tail(calls, _TRACEBACK_BYTES - len(last.encode())) + last


def _details(error: FinalError) -> dict[str, object]:
    try:
        raw = msgspec.json.encode(error.details)
    except (TypeError, ValueError):
        return {"omitted": "the details cannot be carried by JSON"}
    if len(raw) > _DETAILS_BYTES:
        return {"omitted": f"the details have {len(raw):,} bytes; the limit is {_DETAILS_BYTES:,}"}
    decoded: dict[str, object] = msgspec.json.decode(raw)
    return decoded


def _head(text: str, most: int) -> str:
    text = storable(text)
    raw = text.encode()
    return text if len(raw) <= most else raw[: most - 3].decode("utf-8", "ignore") + "…"


def _tail(text: str, most: int) -> str:
    text = storable(text)
    raw = text.encode()
    return text if len(raw) <= most else "…" + raw[3 - most :].decode("utf-8", "ignore")
