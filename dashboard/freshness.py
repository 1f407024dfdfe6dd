"""How old what pages show is, in words: a page that is behind says so."""

from __future__ import annotations

from typing import NamedTuple

from dashboard.relay_status import RelayLag

SILENT_MS = 4_000  # a relay reports every second
BEHIND_MS = 5_000


class Late(NamedTuple):
    """Why a page may not show the present state."""

    short: str  # for the top bar
    title: str
    words: str


REDIS_AWAY = Late(
    "Redis does not answer",
    "Redis does not answer.",
    "You see what the history last knew. Running work is safe and goes on when Redis is back; decisions you send now"
    " are kept and delivered then.",
)
UNREADABLE = Late(
    "the history cannot be read",
    "The database does not answer.",
    "This page shows what it last read. Workflows do not need the database and go on.",
)


def late(connected: bool, lag: RelayLag) -> Late | None:
    """What a page must say of its age, or nothing when it shows the present state.

    Args:
        connected: Whether Redis answers.
        lag: The relays' last report.
    """
    if not connected:
        return REDIS_AWAY
    if not lag.at_ms:
        return Late("no relay runs", "Lists stand still.", "No relay runs, so they show what the history last knew.")
    if lag.silent_ms > SILENT_MS:
        age = spelled(lag.silent_ms + lag.lag_ms)
        words = "The relay has stopped reporting: lists show what the history last knew. Workflows go on without it."
        return Late(f"data {age} old", f"Data {age} old.", words)
    if lag.lag_ms > BEHIND_MS:
        age = spelled(lag.lag_ms)
        why = f"{lag.note[:1].upper()}{lag.note[1:]}." if lag.note else "The relay is behind and catches up."
        return Late(f"data {age} old", f"Data {age} old.", f"{why} Workflows go on without it.")
    if lag.note:
        return Late("history is late", "Lists may be incomplete.", f"{lag.note[:1].upper()}{lag.note[1:]}.")
    return None


def spelled(ms: int) -> str:
    """A duration as the top bar says it."""
    seconds = ms // 1000
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3_600 else f"{seconds // 3_600} h"
