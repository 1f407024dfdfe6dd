"""The dry run of a bulk action: what exactly it would touch, what it would not and why, and what runs again.

Nothing is changed here. A plan's digest names its items with their versions; whoever confirms sends it back,
and a set that has changed since is refused.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from coordination.errors import BadRequest
from dashboard.wording import counted, number

MOST = 10_000  # items of one bulk action
TARGETS = ("escalations", "workflows")


class TooMany(BadRequest):
    """More items match than one bulk action takes: narrow the filter."""

    code = "too_many_items"


class Drifted(BadRequest):
    """What would be touched has changed since the preview. Look at it again, then confirm."""

    code = "selection_changed"


@dataclass(frozen=True, slots=True)
class Selection:
    """What a bulk action is asked for: the items that were ticked, or everything that a filter matches."""

    target: str
    query: str = ""  # of the filter
    ids: tuple[str, ...] = ()
    before: dt.datetime | None = None  # leave out what came later

    @classmethod
    def from_params(cls, params: QueryDict) -> Selection:
        """Read a selection from a form: ``on``, ``id`` (repeated), or ``all`` with the filter's own parameters."""
        target = params.get("on", "")
        if target not in TARGETS:
            raise BadRequest(
                _("%(target)s is nothing that bulk actions are for. Use one of: %(names)s.")
                % {"target": repr(target), "names": ", ".join(TARGETS)}
            )
        ids = tuple(dict.fromkeys(name for name in params.getlist("id") if "\x00" not in name))
        if params.get("all") or not ids:
            ids = ()
        if not ids and not params.get("all"):
            raise BadRequest(_("Nothing is selected. Tick some rows, or everything that matches."))
        filtered = [(name, value) for name, value in params.items() if name.startswith("f-") and value]
        query = urlencode([(name.removeprefix("f-"), value) for name, value in filtered])
        return cls(target, query, ids, _moment(params.get("before", "")))

    @property
    def filter(self) -> dict[str, str]:
        """The filter's parameters."""
        return dict(parse_qsl(self.query))

    def fields(self) -> list[tuple[str, str]]:
        """The form fields that ``from_params`` reads this selection from."""
        pairs = [("on", self.target), *(("id", name) for name in self.ids)]
        if not self.ids:
            pairs += [("all", "1"), *((f"f-{name}", value) for name, value in self.filter.items())]
        return pairs + ([("before", self.before.isoformat())] if self.before else [])


def _moment(text: str) -> dt.datetime | None:
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One item that a selection holds."""

    id: str
    version: int
    label: str
    kind: str  # task type or workflow type
    again: Mapping[str, int] = field(default_factory=dict)  # steps that will run again, by kind
    refusal: str = ""  # why it is left out
    risk: str = ""  # what may have happened outside already


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bulk action would do."""

    selection: Selection
    action: str
    payload: Any
    eligible: list[Candidate]
    refused: list[Candidate]
    at: dt.datetime = field(default_factory=timezone.now)

    @property
    def digest(self) -> str:
        """Names the items, their versions, the action and its payload; with the count and the moment for messages."""
        rows = sorted([item.id, item.version, sorted(item.again.items())] for item in self.eligible)
        covered = msgspec.json.encode([self.selection.target, self.action, self.payload, rows], order="sorted")
        return f"{len(rows)}.{int(self.at.timestamp() * 1000)}.{hashlib.sha256(covered).hexdigest()[:40]}"

    @property
    def refusals(self) -> list[tuple[str, int, list[Candidate]]]:
        """Why items are left out: (reason, how many, the first of them), the most frequent first."""
        counts = Counter(item.refusal for item in self.refused)
        return [
            (words, count, [item for item in self.refused if item.refusal == words][:5])
            for words, count in counts.most_common()
        ]

    @property
    def again(self) -> list[tuple[str, int]]:
        """The steps that will run again, by kind."""
        counts: Counter[str] = Counter()
        for item in self.eligible:
            counts.update(item.again)
        return [(kind, count) for kind, count in counts.most_common() if count]

    @property
    def risks(self) -> list[tuple[str, int]]:
        """What may have had an effect outside already, and how many items that concerns."""
        return Counter(item.risk for item in self.eligible if item.risk).most_common()

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """What is touched, by task type or workflow type."""
        return Counter(item.kind for item in self.eligible).most_common()

    def call(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the API call that does the same."""
        body: dict[str, Any] = {"target": self.selection.target, "action": self.action}
        if self.selection.ids:
            body["ids"] = list(self.selection.ids)
        else:
            body["filter"] = self.selection.filter
        if self.selection.before:
            body["before"] = self.selection.before.isoformat()
        if self.payload is not None:
            body["payload"] = self.payload
        return {**body, **options, "digest": self.digest}


def same(one: str, other: str) -> bool:
    """Whether two digests name the same set; their moments may differ."""
    return one.rpartition(".")[2] == other.rpartition(".")[2]


def drift(before: str, now: Plan) -> str:
    """What has changed between a confirmed digest and the present plan, in words."""
    parts = before.split(".")
    if len(parts) != 3 or not parts[0].isdecimal():
        return _("The preview's digest is missing or damaged. Preview again.")
    then, count = int(parts[0]), len(now.eligible)
    said = {"then": counted(then, "item"), "now": number(count), "by": number(abs(count - then))}
    if then == count:
        return _("Some of the %(then)s have changed since the preview, or others have taken their place.") % said
    if count > then:
        return _("The preview covered %(then)s; now it is %(now)s, %(by)s more.") % said
    return _("The preview covered %(then)s; now it is %(now)s, %(by)s fewer.") % said
