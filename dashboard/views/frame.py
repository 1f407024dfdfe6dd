"""What surrounds every page: sections, theme, who is there, how much waits for people and for this person."""

from __future__ import annotations

import time
from typing import Any, NamedTuple
from urllib.parse import quote

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import get_language, gettext_noop, pgettext
from django.utils.translation import gettext as _

from coordination import client as core
from coordination.errors import ServerUnavailable
from dashboard import approvals, decisions, queries
from dashboard.freshness import Late, late
from dashboard.models import Decision
from dashboard.relay_status import RelayLag
from dashboard.roles import ADMIN, allowed, role_of

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "ganglion_theme"
_CONNECTED_S = 2.0
_connected: tuple[float, bool] = (0.0, True)


class Link(NamedTuple):
    """An entry of the rail or of the palette."""

    href: str
    words: str
    icon: str
    active: bool = False
    secondary: bool = False  # under “More” on a phone
    counts: str = ""  # shows the open ``escalations``, or the ``approvals`` that wait for the reader
    gap: bool = False  # space before it


class Frame(NamedTuple):
    """Everything that the base template shows around a page."""

    theme: str
    language: str
    links: list[Link]
    shortcuts: list[Link]
    open_escalations: int
    approvals: int  # that wait for this person
    person: str
    initials: str
    role: str
    live_url: str
    late: Late | None
    undoable: list[Decision]


_SECTIONS = (
    ("overview", gettext_noop("Overview"), "layout-dashboard", False),
    ("workflows", gettext_noop("Workflows"), "git-branch", False),
    ("escalations", gettext_noop("Escalations"), "user-exclamation", False),
    ("approvals", gettext_noop("Approvals"), "shield-check", True),
    ("agents", gettext_noop("Agents"), "robot", False),
    ("coordinators", gettext_noop("Coordinators"), "sitemap", True),
    ("runs", gettext_noop("Runs"), "rocket", True),
    ("lab", gettext_noop("Lab"), "flask", True),
    ("notices", gettext_noop("Notices"), "bell", True),
    ("audit", gettext_noop("Audit"), "clipboard-list", True),
    ("settings", gettext_noop("Settings"), "settings", True),
)


def script_words() -> dict[str, str]:
    """What the scripts of every page say, in the reader's language; they fill in the braces."""
    return {
        "days": _("{n} days"),
        "notices": _("{n} new notices"),
        "new_rows": _("{n} new"),
        "days_of": pgettext("after “in” or before “ago”", "{n} days"),
        "in": _("in {time}"),
        "ago": _("{time} ago"),
        "since": pgettext("after the word “since”", "{time} ago"),
        "now": _("just now"),
        "live": _("live"),
        "connecting": _("connecting"),
        "reconnecting": _("reconnecting"),
        "old": _("data {time} old"),
        "Old": _("Data {time} old."),
        "moot": _("Not sent: this has changed while you were asked. Look again."),
        "lost": _("This page has lost its connection and tries to get it back."),
        "search": _("Search workflows for “{text}”"),
        "close": _("Close"),
        "copied": _("copied"),
        "all": _("All {total} that match"),
        "selected": _("{n} selected"),
        "kept": _("Draft kept"),
        "kept_here": _("Draft kept in this browser"),
        "draft_back": _("Your draft of this browser is back in the form"),
        "dismissed": _("Nothing was shown. Try again when you are ready."),
        "refuses": _("The browser refuses: {error}"),
        "nothing": _("nothing measured"),
        "finished": _("finished a minute"),
        "median": _("median"),
        "p95": _("95th percentile"),
        "tasks": _("tasks waiting"),
        "open": _("open"),
    }


def theme_of(request: HttpRequest | None) -> str:
    """The theme that the reader chose; ``auto`` follows the system."""
    chosen = request.COOKIES.get(THEME_COOKIE, "auto") if request is not None else "auto"
    return chosen if chosen in THEMES else "auto"


def connected() -> bool:
    """Whether Redis answered when a page last asked, at most two seconds ago."""
    global _connected
    asked, answer = _connected
    if time.monotonic() - asked < _CONNECTED_S and asked:
        return answer
    try:
        core.sync().call("PING")
        answer = True
    except ServerUnavailable:
        answer = False
    _connected = (time.monotonic(), answer)
    return answer


def links(path: str, role: str) -> list[Link]:
    """The sections, with the one that holds ``path`` marked; the lab is for administrators, where it is on."""
    found = []
    for name, words, icon, secondary in _SECTIONS:
        if name == "lab" and not (settings.LAB and role == ADMIN):
            continue
        href = reverse(name)
        active = path == href if href == "/" else path.startswith(href)
        counts = name if name in ("escalations", "approvals") else ""
        found.append(Link(href, _(words), icon, active, secondary, counts, gap=name == "settings"))
    return found


def _shortcuts() -> list[Link]:
    workflows, escalations, agents = reverse("workflows"), reverse("escalations"), reverse("agents")
    return [
        Link(f"{workflows}?state=running", _("Running workflows"), "loader-2"),
        Link(f"{workflows}?needs=retrying", _("Workflows that retry"), "refresh"),
        Link(f"{workflows}?state=failed", _("Failed workflows"), "circle-x"),
        Link(f"{escalations}?claim=mine", _("Escalations claimed by me"), "user-check"),
        Link(f"{agents}#register", _("Register a remote agent"), "plug"),
    ]


def frame(request: HttpRequest | None) -> Frame:
    """The frame for one request; works for strangers and when the database is away."""
    user: Any = getattr(request, "user", None)
    path = request.path if request is not None else "/"
    count, waiting, person, undoable = 0, 0, "", []
    try:
        if allowed(user, "view"):
            count = queries.open_escalations()[0]
        if allowed(user, "operate"):
            undoable = decisions.undoable(user)
        if allowed(user, "approve"):
            waiting = approvals.count_for(user, approvals.askers())
        person = str(user.get_full_name() or user.get_username()) if user is not None else ""
        role = role_of(user)
    except DatabaseError:
        role = ""
    there = connected()
    full = request.get_full_path() if request is not None else "/"
    return Frame(
        theme=theme_of(request),
        language=get_language() or "en",
        links=links(path, role),
        shortcuts=_shortcuts(),
        open_escalations=count,
        approvals=waiting,
        person=person or _("Nobody"),
        initials="".join(part[0] for part in person.replace(".", " ").split()[:2]) or "?",
        role=role,
        live_url=f"/live{quote(full, safe='/?&=%,:@-._~+')}",
        late=late(there, queries.relay_lag() if there else RelayLag()),
        undoable=undoable,
    )
