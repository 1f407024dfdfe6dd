"""How old what pages show is, in words: a page that is behind says so."""

from __future__ import annotations

from typing import NamedTuple

from django.utils.translation import gettext as _

from dashboard.relay_status import RelayLag
from dashboard.retelling import retold

SILENT_MS = 4_000  # a relay reports every second
BEHIND_MS = 5_000


class Late(NamedTuple):
    """Why a page may not show the present state."""

    short: str  # for the top bar
    title: str
    words: str


def redis_away() -> Late:
    """What pages say while Redis does not answer."""
    return Late(
        _("Redis does not answer"),
        _("Redis does not answer."),
        _(
            "You see what the history last knew. Running work is safe and goes on when Redis is back; decisions you"
            " send now are kept and delivered then."
        ),
    )


def unreadable() -> Late:
    """What pages say while the database does not answer."""
    return Late(
        _("the history cannot be read"),
        _("The database does not answer."),
        _("This page shows what it last read. Workflows do not need the database and go on."),
    )


def late(connected: bool, lag: RelayLag) -> Late | None:
    """What a page must say of its age, or nothing when it shows the present state.

    Args:
        connected: Whether Redis answers.
        lag: The relays' last report.
    """
    if not connected:
        return redis_away()
    if not lag.at_ms:
        words = _("No relay runs, so they show what the history last knew.")
        return Late(_("no relay runs"), _("Lists stand still."), words)
    if lag.silent_ms > SILENT_MS:
        words = _("The relay has stopped reporting: lists show what the history last knew. Workflows go on without it.")
        return _old(lag.silent_ms + lag.lag_ms, words)
    if lag.lag_ms > BEHIND_MS:
        why = _begun(lag.note) if lag.note else _("The relay is behind and catches up.")
        return _old(lag.lag_ms, _("%(why)s Workflows go on without it.") % {"why": why})
    if lag.note:
        return Late(_("history is late"), _("Lists may be incomplete."), _begun(lag.note))
    return None


def _old(ms: int, words: str) -> Late:
    age = {"age": spelled(ms)}
    return Late(_("data %(age)s old") % age, _("Data %(age)s old.") % age, words)


def _begun(note: str) -> str:
    """A relay's remark as a sentence."""
    said = retold(note)
    return f"{said[:1].upper()}{said[1:]}."


def spelled(ms: int) -> str:
    """A duration as the top bar says it."""
    seconds = ms // 1000
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3_600 else f"{seconds // 3_600} h"
