"""Workflows as lists show them: filtered, searched, sorted, in pages that cost the same at any depth.

Every page is a range of one index (keyset pagination); nothing counts beyond ``COUNT_CAP``.
"""

# ruff: noqa: S608, S611 names of columns are ours, values are bound
from __future__ import annotations

import base64
import datetime as dt
import heapq
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from coordination.domain import Reason, WorkflowState
from dashboard.models import Escalation, Workflow

COUNT_CAP = 10_000
SEARCH_COUNT_CAP = 500
SEARCH_CAP = 2_000  # the newest matches that a search looks at on SQLite

SORTS: dict[str, tuple[str, ...]] = {
    "created": ("created_at", "id"),
    "finished": ("finished_at", "id"),  # finished workflows only
    "duration": ("duration_ms", "id"),  # finished workflows only
    "type": ("type", "created_at", "id"),
    "state": ("state", "created_at", "id"),
}
NEEDS = ("retrying", "human", "no_agent")
AGES = {  # since the submit: at most, or more than
    "1h": (dt.timedelta(hours=1), True),
    "24h": (dt.timedelta(days=1), True),
    "7d": (dt.timedelta(days=7), True),
    "over-1h": (dt.timedelta(hours=1), False),
    "over-24h": (dt.timedelta(days=1), False),
    "over-7d": (dt.timedelta(days=7), False),
}
COLUMNS = ("input", "steps", "submitted", "duration", "owner")  # those that can be hidden


@dataclass(frozen=True, slots=True)
class WorkflowFilter:
    """What a list shows. Made from a query string and turned back into one."""

    states: tuple[str, ...] = ()  # empty: all
    type: str = ""
    version: int = 0  # of the type; 0: all
    age: str = ""  # a key of AGES
    text: str = ""  # words, or their beginnings, of id and input
    needs: str = ""  # retrying | human | no_agent
    owner: str = ""  # a coordinator host
    parent: str = ""
    since: dt.datetime | None = None  # submitted at or after
    until: dt.datetime | None = None  # submitted before
    sort: str = "created"
    descending: bool = True
    hide: tuple[str, ...] = ()  # columns that are not shown

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> WorkflowFilter:
        """Read a filter from a query string; what does not fit is left out.

        Args:
            params: ``state`` (comma list), ``type``, ``version`` (of that type), ``age`` (a key of ``AGES``), ``q``,
                ``needs``, ``owner``, ``parent``, ``since``, ``until`` (ISO dates), ``sort`` (a key of ``SORTS``, ``-``
                before it for descending), ``hide`` (columns).
        """
        params, getlist = without_nul(params), getattr(params, "getlist", None)
        known = {state.value for state in WorkflowState}
        # A QueryDict holds repeated fields, as the checkboxes of a form send them.
        raw = ",".join(getlist("state")) if getlist else params.get("state", "")
        hidden = ",".join(getlist("hide")) if getlist else params.get("hide", "")
        sort = params.get("sort", "") or "-created"
        name = sort.removeprefix("-")
        return cls(
            states=tuple(dict.fromkeys(s for s in raw.split(",") if s in known)),
            type=(kind := params.get("type", "").strip()[:80]),
            version=int(version) if kind and re.fullmatch("[0-9]{1,6}", version := params.get("version", "")) else 0,
            age=params["age"] if params.get("age", "") in AGES else "",
            text=params.get("q", "").strip()[:200],
            needs=params["needs"] if params.get("needs", "") in NEEDS else "",
            owner=params.get("owner", "").strip(),
            parent=params.get("parent", "").strip(),
            since=_when(params.get("since", "")),
            until=_when(params.get("until", "")),
            sort=name if name in SORTS else "created",
            descending=sort.startswith("-") if name in SORTS else True,
            hide=tuple(column for column in COLUMNS if column in hidden.split(",")),
        )

    def params(self, **changes: Any) -> dict[str, str]:
        """The query parameters that ``from_params`` reads this filter from."""
        now = replace(self, **changes)
        pairs = {
            "state": ",".join(now.states),
            "type": now.type,
            "version": str(now.version or "") if now.type else "",
            "age": now.age,
            "q": now.text,
            "needs": now.needs,
            "owner": now.owner,
            "parent": now.parent,
            "since": now.since.isoformat() if now.since else "",
            "until": now.until.isoformat() if now.until else "",
            "sort": f"{'-' if now.descending else ''}{now.sort}",
            "hide": ",".join(now.hide),
        }
        if pairs["sort"] == "-created":
            pairs["sort"] = ""
        return {name: value for name, value in pairs.items() if value}

    def query(self, **changes: Any) -> str:
        """``params`` as a query string, to stand behind a ``?``."""
        return urlencode(self.params(**changes))

    @property
    def is_search(self) -> bool:
        """Whether the list is narrowed down by words alone."""
        return set(self.params()) - {"sort", "hide"} == {"q"}

    @property
    def is_empty(self) -> bool:
        """Whether the list is not narrowed down at all."""
        return not (set(self.params()) - {"sort", "hide"})


@dataclass(frozen=True, slots=True)
class WorkflowPage:
    """One page of workflows, with cursors for the pages around it (empty: there is none)."""

    rows: list[Workflow] = field(default_factory=list)
    next: str = ""
    previous: str = ""
    total: int = 0  # at most COUNT_CAP
    capped: bool = False  # there are more than ``total``


def without_nul(params: Mapping[str, str]) -> dict[str, str]:
    """Query parameters without the one character that PostgreSQL cannot look for."""
    return {name: value.replace("\x00", "") for name, value in params.items()}


def _when(text: str) -> dt.datetime | None:
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)


def _words(text: str) -> list[list[str]]:
    return [parts for word in text.split() if (parts := re.findall(r"[^\W_]+", word.lower()))]


_SQLITE_SEARCH = (
    "SELECT {} FROM dashboard_workflow_text WHERE dashboard_workflow_text MATCH %s ORDER BY rowid DESC LIMIT {}"
)


def _sqlite_match(words: list[list[str]]) -> str:
    return " ".join(f'"{" ".join(parts)}"*' for parts in words)


def _search(rows: QuerySet[Workflow], text: str) -> QuerySet[Workflow]:
    words = _words(text)
    if not words:
        return rows.none()
    if connection.vendor == "sqlite":
        match = _sqlite_match(words)
        sql = f"dashboard_workflow.id IN ({_SQLITE_SEARCH.format('id', SEARCH_CAP)})"
    else:
        match = " & ".join("(" + " <-> ".join([*parts[:-1], f"{parts[-1]}:*"]) + ")" for parts in words)
        sql = "dashboard_workflow.words @@ to_tsquery('simple', %s)"
    return rows.filter(RawSQL(sql, (match,), output_field=BooleanField()))


def _sqlite_found(text: str, after: list[Any], up: bool, limit: int) -> QuerySet[Workflow]:
    """The first matches in the order of submission, by what stands beside their words.

    Rows of the newest matches lie all over the table; only those of one page are read.
    """
    words = _words(text)
    if not words:
        return Workflow.objects.none()
    where = f"WHERE (created_at, id) {'>' if up else '<'} (%s, %s)" if after else ""
    order = "ASC" if up else "DESC"
    sql = (
        f"dashboard_workflow.id IN (SELECT id FROM ({_SQLITE_SEARCH.format('id, created_at', SEARCH_CAP)}) {where}"
        f" ORDER BY created_at {order}, id {order} LIMIT {limit})"
    )
    return Workflow.objects.filter(RawSQL(sql, (_sqlite_match(words), *after), output_field=BooleanField()))


def _where(rows: QuerySet[Workflow], condition: str) -> QuerySet[Workflow]:
    """Narrow down by a partial index's own condition; SQLite knows it only when it is written out."""
    return rows.filter(RawSQL(condition, (), output_field=BooleanField()))


def _narrow(wanted: WorkflowFilter) -> QuerySet[Workflow]:
    rows = Workflow.objects.all()
    if wanted.type:
        rows = rows.filter(type=wanted.type)
    if wanted.version:
        rows = rows.filter(version=wanted.version)
    if wanted.age:
        span, younger = AGES[wanted.age]
        moment = timezone.now() - span
        rows = rows.filter(created_at__gte=moment) if younger else rows.filter(created_at__lt=moment)
    if wanted.owner:
        rows = _where(rows, "NOT (dashboard_workflow.owner = '')").filter(owner=wanted.owner)
    if wanted.parent:
        rows = _where(rows, "NOT (dashboard_workflow.parent_id = '')").filter(parent_id=wanted.parent)
    if wanted.since:
        rows = rows.filter(created_at__gte=wanted.since)
    if wanted.until:
        rows = rows.filter(created_at__lt=wanted.until)
    if wanted.needs == "retrying":
        rows = _where(rows, "dashboard_workflow.retrying > 0")
    elif wanted.needs == "human":
        rows = rows.filter(state=WorkflowState.NEEDS_HUMAN)
    elif wanted.needs == "no_agent":
        stuck = Escalation.objects.filter(state="open", reason=Reason.NO_CAPABLE_AGENT).values("workflow_id")
        rows = rows.filter(id__in=stuck)
    if wanted.text:
        rows = _search(rows, wanted.text)
    return rows


def _branches(wanted: WorkflowFilter) -> list[QuerySet[Workflow]]:
    """One query for each state, so that each is a range of an index; they are merged afterwards."""
    rows = _narrow(wanted)
    return [rows.filter(state=state) for state in wanted.states] if wanted.states else [rows]


def _cursor(row: Workflow, columns: tuple[str, ...], backwards: bool) -> str:
    values = [getattr(row, column) for column in columns]
    return base64.urlsafe_b64encode(msgspec.json.encode([backwards, *values])).decode().rstrip("=")


def _decode(cursor: str, columns: tuple[str, ...]) -> tuple[bool, list[Any]] | None:
    """The values of a cursor, or nothing when it was tampered with or belongs to another order."""
    try:
        raw = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        backwards, *values = raw
        if len(values) != len(columns):
            return None
        return bool(backwards), [_typed(column, value) for column, value in zip(columns, values, strict=True)]
    except (ValueError, TypeError, msgspec.DecodeError):
        return None


def _typed(column: str, value: Any) -> Any:
    if column.endswith("_at"):
        return connection.ops.adapt_datetimefield_value(dt.datetime.fromisoformat(value))
    return int(value) if column == "duration_ms" else str(value)


def _after(rows: QuerySet[Workflow], columns: tuple[str, ...], values: list[Any], up: bool) -> QuerySet[Workflow]:
    names = ", ".join(f"dashboard_workflow.{column}" for column in columns)
    marks = ", ".join(["%s"] * len(columns))
    sql = f"({names}) {'>' if up else '<'} ({marks})"
    return rows.filter(RawSQL(sql, values, output_field=BooleanField()))


def workflows(wanted: WorkflowFilter, *, cursor: str = "", limit: int = 50, count: bool = True) -> WorkflowPage:
    """One page of the workflows that match, at the same cost however deep it lies.

    Args:
        wanted: Filter and order.
        cursor: ``next`` or ``previous`` of another page; a wrong one gives the first page.
        limit: Rows of a page.
        count: Whether to count the matches (up to ``COUNT_CAP``).
    """
    columns = SORTS[wanted.sort]
    place = _decode(cursor, columns) if cursor else None
    backwards = place is not None and place[0]
    up = wanted.descending == backwards
    found: list[Iterator[Workflow]] = []
    for rows in _branches(wanted):
        if wanted.sort in ("finished", "duration"):
            rows = rows.filter(**{f"{columns[0]}__isnull": False})
        if wanted.is_search and wanted.sort == "created" and connection.vendor == "sqlite":
            rows = _sqlite_found(wanted.text, place[1] if place else [], up, limit + 1)
        elif place:
            rows = _after(rows, columns, place[1], up)
        ordered = rows.order_by(*(column if up else f"-{column}" for column in columns))
        found.append(iter(_first(ordered, columns, up, limit + 1) if wanted.text else ordered[: limit + 1]))
    merged = heapq.merge(*found, key=lambda row: [getattr(row, c) for c in columns], reverse=not up)
    taken = list(islice(merged, limit + 1))
    more, taken = len(taken) > limit, taken[:limit]
    if backwards:
        taken.reverse()
    total, capped = count_workflows(wanted) if count else (0, False)
    has_next = more if not backwards else bool(taken)
    has_previous = more if backwards else bool(place) and bool(taken)
    return WorkflowPage(
        rows=taken,
        next=_cursor(taken[-1], columns, False) if has_next and taken else "",
        previous=_cursor(taken[0], columns, True) if has_previous and taken else "",
        total=total,
        capped=capped,
    )


def _first(rows: QuerySet[Workflow], columns: tuple[str, ...], up: bool, limit: int) -> Iterable[Workflow]:
    """The first rows of an ordered search.

    Asked for a page, PostgreSQL walks through the order and tests each row, which takes long when fewer match than it
    thinks. Asked for many it gathers what is rare and walks through what is frequent, and stops after a page then, too.
    """
    if connection.vendor != "postgresql" or rows.query.is_empty():
        return rows[:limit]
    sql, values = rows[: max(limit, SEARCH_COUNT_CAP + 1)].query.sql_with_params()
    order = ", ".join(f"{column} {'ASC' if up else 'DESC'}" for column in columns)
    return Workflow.objects.raw(f"SELECT * FROM ({sql}) AS found ORDER BY {order} LIMIT {limit}", values)


def matching(wanted: WorkflowFilter, limit: int) -> list[Workflow]:
    """Everything that matches, oldest first, up to a limit."""
    found = [row for rows in _branches(wanted) for row in rows.order_by("created_at", "id")[:limit]]
    return sorted(found, key=lambda row: (row.created_at, row.id))[:limit]


def count_workflows(wanted: WorkflowFilter) -> tuple[int, bool]:
    """How many match, and whether there are more; counted up to ``COUNT_CAP``, in a search ``SEARCH_COUNT_CAP``."""
    total, cap = 0, SEARCH_COUNT_CAP if wanted.text else COUNT_CAP
    if connection.vendor == "sqlite" and wanted.is_search and (words := _words(wanted.text)):
        with connection.cursor() as cursor:  # the words alone tell: their rows lie all over the table
            cursor.execute(f"SELECT count(*) FROM ({_SQLITE_SEARCH.format(1, cap + 1)})", [_sqlite_match(words)])
            total = cursor.fetchone()[0]
        return min(total, cap), total > cap
    # PostgreSQL reads a search from its newest end, and stops early, where it otherwise gathers every match first
    order = ("-created_at",) if wanted.text and connection.vendor == "postgresql" else ()
    for rows in _branches(wanted):
        total += rows.order_by(*order).values("pk")[: cap + 1 - total].count()
        if total > cap:
            return cap, True
    return total, False


# jumps through the index from one type to the next, however many workflows each has
_TYPES = """
WITH RECURSIVE found(type) AS (
    SELECT min(type) FROM dashboard_workflow
    UNION ALL
    SELECT (SELECT min(type) FROM dashboard_workflow WHERE type > found.type) FROM found WHERE found.type IS NOT NULL
)
SELECT type FROM found WHERE type IS NOT NULL LIMIT 200
"""


def workflow_types() -> list[str]:
    """The workflow types in the history, in order."""
    with connection.cursor() as cursor:
        cursor.execute(_TYPES)
        return [name for (name,) in cursor.fetchall()]


_STATES = " UNION ALL ".join(
    f"SELECT '{state.value}', count(*) FROM"
    f" (SELECT 1 FROM dashboard_workflow WHERE state = '{state.value}' LIMIT {COUNT_CAP + 1}) AS found"
    for state in WorkflowState
)


def state_counts() -> dict[str, tuple[int, bool]]:
    """For each state how many workflows are in it, counted up to ``COUNT_CAP``, and whether there are more."""
    with connection.cursor() as cursor:
        cursor.execute(_STATES)
        return {state: (min(count, COUNT_CAP), count > COUNT_CAP) for state, count in cursor.fetchall()}


def children(workflow_id: str, limit: int = 100) -> list[Workflow]:
    """The child workflows of a workflow, oldest first."""
    rows = _where(Workflow.objects.all(), "NOT (dashboard_workflow.parent_id = '')").filter(parent_id=workflow_id)
    return list(rows.order_by("created_at", "id")[:limit])
