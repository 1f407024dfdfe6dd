"""How the console says things: states with their look, durations, sizes, shortened ids."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.utils.dates import MONTHS_3
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_noop as _

from dashboard.language import remembered
from dashboard.names import NAMES as _NAMES


class Look(NamedTuple):
    """A state as people see it."""

    words: str
    tone: str  # of tokens.css
    icon: str  # of the sprite


_LOOKS = {
    # workflows and steps
    "queued": Look(_("Queued"), "idle", "circle-dashed"),
    "running": Look(_("Running"), "running", "loader-2"),
    "waiting": Look(_("Waiting"), "waiting", "clock"),
    "needs_human": Look(_("Needs a human"), "human", "user-exclamation"),
    "completed": Look(_("Completed"), "done", "circle-check"),
    "failed": Look(_("Failed"), "failed", "circle-x"),
    "cancelled": Look(_("Cancelled"), "idle", "ban"),
    "backoff": Look(_("Retrying"), "waiting", "refresh"),
    "escalated": Look(_("Needs a human"), "human", "user-exclamation"),
    "succeeded": Look(_("Succeeded"), "done", "circle-check"),
    "skipped": Look(_("Skipped"), "idle", "player-skip-forward"),
    "timed_out": Look(_("Timed out"), "failed", "hourglass-high"),
    "superseded": Look(_("Superseded"), "idle", "circle-minus"),
    # escalations and decisions
    "open": Look(_("Open"), "human", "user-exclamation"),
    "resolved": Look(_("Resolved"), "done", "circle-check"),
    "withdrawn": Look(_("Withdrawn"), "idle", "ban"),
    "submitted": Look(_("Submitted"), "waiting", "send"),
    "accepted": Look(_("Accepted"), "running", "check"),
    "conflict": Look(_("Refused"), "failed", "alert-triangle"),
    "pending": Look(_("Needs approval"), "waiting", "hourglass-high"),
    "approved": Look(_("Approved"), "done", "check"),
    "undone": Look(_("Undone"), "idle", "history"),
    "refused": Look(_("Not approved"), "failed", "ban"),
    "expired": Look(_("Expired"), "idle", "clock"),
    "dispatched": Look(_("Running again"), "running", "loader-2"),
    "failed_again": Look(_("Failed again"), "failed", "circle-x"),
    # agents and hosts
    "works": Look(_("Works"), "done", "heartbeat"),
    "idle": Look(_("Ready"), "idle", "circle-check"),
    "frozen": Look(_("Beats but finishes nothing"), "waiting", "alert-triangle"),
    "silent": Look(_("Silent"), "failed", "wifi-off"),
    "draining": Look(_("Draining"), "idle", "logout"),
    "paused": Look(_("Paused"), "idle", "player-pause"),
    "alive": Look(_("Alive"), "done", "heartbeat"),
    "started": Look(_("Started"), "done", "power"),
    "stopped": Look(_("Stopped"), "idle", "player-stop"),
    "lost": Look(_("Lost, taken over"), "takeover", "arrows-exchange"),
}

BULK_ITEMS = {
    "succeeded": Look(_("Succeeded"), "done", "circle-check"),
    "failed_again": Look(_("Failed again"), "failed", "circle-x"),
    "sent": Look(_("Under way"), "running", "loader-2"),
    "refused": Look(_("Left out"), "idle", "circle-minus"),
    "waiting": Look(_("Untouched"), "idle", "circle-dashed"),
}


def states() -> list[str]:
    """Every state that has a look."""
    return list(_LOOKS)


@remembered
def look(state: str) -> Look:
    """The look of any state; one that is not known is shown as it is called."""
    found = _LOOKS.get(state)
    if found is None:
        return Look(state.replace("_", " ").capitalize() or "–", "idle", "circle-dot")
    return found._replace(words=gettext(found.words))


_VERBS = {
    "retry": _("Retry"),
    "edit": _("Edit input and retry"),
    "supply": _("Supply the result"),
    "skip": _("Skip the step"),
    "fail": _("Let the step fail"),
    "reroute": _("Send to another agent"),
    "restart": _("Restart from a step"),
}


def action_verb(action: str) -> str:
    """A decision's action as its button says it."""
    words = _VERBS.get(action)
    return gettext(words) if words else action.replace("_", " ").capitalize()


def period(seconds: int) -> str:
    """A span that somebody has set, in words: 45 s, 15 min, 1 h 30 min, 2 days."""
    if seconds < 60:
        return f"{seconds} s"
    parts, rest = [], seconds
    for unit, words in ((86_400, ""), (3_600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count} {words}" if words else _days(count))
    return " ".join(parts[:2])


def _days(count: int) -> str:
    return ngettext("%(count)s day", "%(count)s days", count) % {"count": count}


def duration(ms: Any) -> str:
    """Milliseconds in words; a dash when there are none."""
    if ms is None or ms == "":
        return "–"
    value = max(0.0, float(ms))
    if value < 1000:
        return f"{value:.0f} ms"
    seconds = value / 1000
    if seconds < 60:
        return f"{number(seconds, 1)} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{_days(hours // 24)} {hours % 24} h"


def brief_duration(ms: float) -> str:
    """Milliseconds for a scale, in one unit: 500 ms, 2 s, 3 min, 1.5 h."""
    for unit, many in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if ms >= many:
            return f"{number_format(f'{ms / many:.3g}')} {unit}"
    return f"{ms:.0f} ms"


def stamp(moment: dt.datetime, clock: str) -> str:
    """A moment by the world's clock: 21 Nov 20:03 UTC.

    Args:
        clock: What follows the day, as ``strftime`` writes it.
    """
    there = moment.astimezone(dt.UTC)
    return f"{_day(there.day, there.month)} {there:{clock}} UTC"


@remembered
def _day(day: int, month: int) -> str:
    return gettext("%(day)s %(month)s") % {"day": f"{day:02d}", "month": str(MONTHS_3[month]).capitalize()}


def size(count: Any) -> str:
    """Bytes in words; a dash when there are none."""
    if not count:
        return "–"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{number(value, 0 if unit in ('B', 'kB') else 1)} {unit}"
        value /= 1000
    return ""


def shortened(ident: str) -> str:
    """An id with its middle left out when it is long; both ends stay to be told apart by."""
    return ident if len(ident) <= 18 else f"{ident[:8]}…{ident[-6:]}"


def number(value: float, places: int = 0) -> str:
    """A number as the reader's language writes it: 12,040 or 1.5."""
    return number_format(f"{value:.{places}f}", force_grouping=True)


def plural(count: int, one: str) -> str:
    """``1 workflow``, ``3 workflows``, in English for everybody: for what is stored."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def counted(count: int, what: str) -> str:
    """``1 workflow``, ``3 workflows``, in the reader's language."""
    return _COUNTED[what](count) % {"count": number(count)}


_COUNTED: dict[str, Callable[[int], str]] = {
    "agent": lambda count: ngettext("%(count)s agent", "%(count)s agents", count),
    "escalation": lambda count: ngettext("%(count)s escalation", "%(count)s escalations", count),
    "event": lambda count: ngettext("%(count)s event", "%(count)s events", count),
    "item": lambda count: ngettext("%(count)s item", "%(count)s items", count),
    "step": lambda count: ngettext("%(count)s step", "%(count)s steps", count),
    "finished step": lambda count: ngettext("%(count)s finished step", "%(count)s finished steps", count),
    "task": lambda count: ngettext("%(count)s task", "%(count)s tasks", count),
    "workflow": lambda count: ngettext("%(count)s workflow", "%(count)s workflows", count),
}


def named(name: object) -> str:
    """A name that programs use, as people say it: ``final_error`` becomes ``final error``."""
    text = str(name)
    return gettext(_NAMES[text]) if text in _NAMES else text.replace("_", " ").strip()


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
