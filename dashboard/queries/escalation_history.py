"""The history of one escalation: the audit log's entries about it, between its opening and its outcome."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from dashboard import differences
from dashboard.bulk_models import Disposition
from dashboard.models import AuditEntry, Escalation
from dashboard.wording import action_verb, look

MOST = 500


class Happening(NamedTuple):
    """One thing that happened to an escalation."""

    at: dt.datetime | None
    who: str
    icon: str
    tone: str
    words: str
    said: str = ""  # what the person wrote
    changed: tuple[differences.Line, ...] = ()


def history(row: Escalation) -> list[Happening]:
    """Everything that happened to it, oldest first."""
    found = [Happening(row.opened_at, "", "user-exclamation", "human", _("Opened"))]
    entries = AuditEntry.objects.filter(object_type="escalation", object_id=row.pk).order_by("pk")
    found += [_told(entry) for entry in entries[:MOST]]
    if row.state == "withdrawn":
        found.append(Happening(row.resolved_at, "", "ban", "idle", _("Withdrawn: its workflow ended without it")))
    elif row.state == "resolved":
        by = row.resolved_by
        found.append(
            Happening(
                row.resolved_at,
                by,
                "check",
                "running",
                _("Taken by the workflow: %(action)s") % {"action": _lower(row.action)},
            )
        )
        if row.outcome:
            how = look(row.outcome)
            found.append(
                Happening(None, "", how.icon, how.tone, _("Outcome: %(outcome)s") % {"outcome": how.words.lower()})
            )
    return found


def _lower(action: str) -> str:
    said = action_verb(action)
    return said[:1].lower() + said[1:]


_WORDS = {
    "escalation.claim": ("hand-stop", "idle", gettext_noop("claimed it")),
    "escalation.release": ("logout", "idle", gettext_noop("gave the claim back")),
    "escalation.undo": ("history", "idle", gettext_noop("undid the decision; nothing was sent")),
    "approval.request": ("hourglass-high", "waiting", gettext_noop("asked for approval")),
    "approval.approve": ("shield-check", "done", gettext_noop("approved it")),
    "approval.refuse": ("ban", "failed", gettext_noop("refused it")),
    "approval.withdraw": ("history", "idle", gettext_noop("took the request back")),
    "approval.expire": ("clock", "idle", gettext_noop("the request for approval expired")),
}


def _told(entry: AuditEntry) -> Happening:
    before, after = _table(entry.before), _table(entry.after)
    if entry.action == "escalation.comment":
        return Happening(entry.at, entry.actor, "file-text", "idle", _("wrote"), str(after.get("text", "")))
    if entry.action == "escalation.resolve":
        words = _("decided: %(action)s") % {"action": _lower(str(after.get("action", "")))}
        changed: list[differences.Line] = []
        if "payload" in after and after["payload"] is not None:
            changed = differences.of_decision(before.get("input"), after)
        return Happening(entry.at, entry.actor, "send", "running", words, str(after.get("comment", "")), tuple(changed))
    if entry.action == "failure.dispose":
        words = _("recorded how it ends: %(outcome)s") % {"outcome": _outcome(str(after.get("outcome", "")))}
        return Happening(entry.at, entry.actor, "clipboard-list", "idle", words, str(after.get("note", "")))
    icon, tone, words = _WORDS.get(entry.action, ("circle-dot", "idle", entry.action.replace(".", " ")))
    return Happening(entry.at, entry.actor, icon, tone, _(words), str(after.get("note", "")))


def _outcome(name: str) -> str:
    known = {one.value: str(one.label) for one in Disposition.Outcome}
    return known.get(name, name).lower()


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
