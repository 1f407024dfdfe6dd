"""How the console says things: states with their look, durations, sizes, shortened ids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple


class Look(NamedTuple):
    """A state as people see it."""

    words: str
    tone: str  # of tokens.css
    icon: str  # of the sprite


_LOOKS = {
    # workflows and steps
    "queued": Look("Queued", "idle", "circle-dashed"),
    "running": Look("Running", "running", "loader-2"),
    "waiting": Look("Waiting", "waiting", "clock"),
    "needs_human": Look("Needs a human", "human", "user-exclamation"),
    "completed": Look("Completed", "done", "circle-check"),
    "failed": Look("Failed", "failed", "circle-x"),
    "cancelled": Look("Cancelled", "idle", "ban"),
    "backoff": Look("Retrying", "waiting", "refresh"),
    "escalated": Look("Needs a human", "human", "user-exclamation"),
    "succeeded": Look("Succeeded", "done", "circle-check"),
    "skipped": Look("Skipped", "idle", "player-skip-forward"),
    "timed_out": Look("Timed out", "failed", "hourglass-high"),
    "superseded": Look("Superseded", "idle", "circle-minus"),
    # escalations and decisions
    "open": Look("Open", "human", "user-exclamation"),
    "resolved": Look("Resolved", "done", "circle-check"),
    "withdrawn": Look("Withdrawn", "idle", "ban"),
    "submitted": Look("Submitted", "waiting", "send"),
    "accepted": Look("Accepted", "running", "check"),
    "conflict": Look("Refused", "failed", "alert-triangle"),
    "pending": Look("Needs approval", "waiting", "hourglass-high"),
    "approved": Look("Approved", "done", "check"),
    "undone": Look("Undone", "idle", "history"),
    "refused": Look("Not approved", "failed", "ban"),
    "expired": Look("Expired", "idle", "clock"),
    "dispatched": Look("Running again", "running", "loader-2"),
    "failed_again": Look("Failed again", "failed", "circle-x"),
    # agents and hosts
    "works": Look("Works", "done", "heartbeat"),
    "idle": Look("Ready", "idle", "circle-check"),
    "frozen": Look("Beats but finishes nothing", "waiting", "alert-triangle"),
    "silent": Look("Silent", "failed", "wifi-off"),
    "draining": Look("Draining", "idle", "logout"),
    "paused": Look("Paused", "idle", "player-pause"),
    "alive": Look("Alive", "done", "heartbeat"),
    "started": Look("Started", "done", "power"),
    "stopped": Look("Stopped", "idle", "player-stop"),
    "lost": Look("Lost, taken over", "takeover", "arrows-exchange"),
}


def states() -> list[str]:
    """Every state that has a look."""
    return list(_LOOKS)


def look(state: str) -> Look:
    """The look of any state; one that is not known is shown as it is called."""
    return _LOOKS.get(state) or Look(state.replace("_", " ").capitalize() or "–", "idle", "circle-dot")


_VERBS = {
    "retry": "Retry",
    "edit": "Edit input and retry",
    "supply": "Supply the result",
    "skip": "Skip the step",
    "fail": "Let the step fail",
    "reroute": "Send to another agent",
    "restart": "Restart from a step",
}


def action_verb(action: str) -> str:
    """A decision's action as its button says it."""
    return _VERBS.get(action) or action.replace("_", " ").capitalize()


def period(seconds: int) -> str:
    """A span that somebody has set, in words: 45 s, 15 min, 1 h 30 min, 2 days."""
    if seconds < 60:
        return f"{seconds} s"
    parts, rest = [], seconds
    for unit, words in ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count} {'day' if words == 'days' and count == 1 else words}")
    return " ".join(parts[:2])


def duration(ms: Any) -> str:
    """Milliseconds in words; a dash when there are none."""
    if ms is None or ms == "":
        return "–"
    value = max(0.0, float(ms))
    if value < 1000:
        return f"{value:.0f} ms"
    seconds = value / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} days {hours % 24} h"


def brief_duration(ms: float) -> str:
    """Milliseconds for a scale, in one unit: 500 ms, 2 s, 3 min, 1.5 h."""
    for unit, many in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if ms >= many:
            return f"{ms / many:.3g} {unit}"
    return f"{ms:.0f} ms"


def size(count: Any) -> str:
    """Bytes in words; a dash when there are none."""
    if not count:
        return "–"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit in ("B", "kB") else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def shortened(ident: str) -> str:
    """An id with its middle left out when it is long; both ends stay to be told apart by."""
    return ident if len(ident) <= 18 else f"{ident[:8]}…{ident[-6:]}"


def plural(count: int, one: str, many: str = "") -> str:
    """``1 workflow``, ``3 workflows``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\btrue\b|\bfalse\b|\bnull\b)')


def json_tokens(text: str) -> Iterator[tuple[str, str]]:
    """JSON text cut into (class, part): ``k`` keys, ``s`` strings, ``n`` numbers and words, no class between."""
    end = 0
    for found in _TOKEN.finditer(text):
        if found.start() > end:
            yield "", text[end : found.start()]
        if found.group(1) is not None:
            yield ("k" if found.group(2) else "s"), found.group(1)
            if found.group(2):
                yield "", found.group(2)
        else:
            yield "n", found.group(3)
        end = found.end()
    if end < len(text):
        yield "", text[end:]
