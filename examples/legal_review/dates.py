"""Calendar dates in a contract, what they stand for, and how they contradict one another.

A strict pattern finds what is a date; only that goes to dateparser, which would otherwise see
dates in clause numbers.
"""

from __future__ import annotations

import datetime
import functools
import re
from typing import NamedTuple

from examples.legal_review.passages import Passages
from examples.legal_review.shapes import KeyDate, Quote, Term

_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?"
)
_DATE = re.compile(
    rf"\b(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:day\s+of\s+)?(?P<m1>{_MONTH}),?\s+(?P<y1>(?:19|20)\d\d)\b"
    rf"|\b(?P<m2>{_MONTH})\s+(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y2>(?:19|20)\d\d)\b"
    r"|\b(?P<y3>(?:19|20)\d\d)-(?P<m3>\d\d)-(?P<d3>\d\d)\b"
    r"|\b(?P<a4>\d{1,2})[/.](?P<b4>\d{1,2})[/.](?P<y4>(?:19|20)\d\d)\b",
    re.I,
)
_MOST = 1_000  # mentions looked at
BEGINS, ENDS, MADE = "Begins", "Ends", "Agreement date"

_NAMED = (
    r"[\"“]?((?:(?!The\b|This\b|Such\b)[A-Z][a-z]+\s+){0,2}(?:Commencement|Effective|Start|Starting|Beginning|Expiry|"
    r"Expiration|Maturity|End|Termination|Final|Completion|Closing|Delivery|Handover|Payment|Review|Signing|Utilisation)"
    r"\s+Date)[\"”]?"
)
_NAME_BEFORE = re.compile(
    rf"{_NAMED}\s*(?:\([^)]{{0,40}}\)\s*)?(?:means|is|shall be|falls on|being|of|:)?\s*(?:the\s+)?$"
)
_NAME_AFTER = re.compile(rf"^[\s,]*\((?:the\s+)?{_NAMED}")
_LABELS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (BEGINS, re.compile(r"commenc\w*|begin\w*|start\w*|effective|with effect from|takes? effect|\bfrom\b", re.I)),
    (ENDS, re.compile(r"expir\w*|\bends?\b|ending|terminat\w*|\buntil\b|maturity|\bthrough\b", re.I)),
    (MADE, re.compile(r"\bdated\b|\bmade\b|entered into|\bas of\b|signed|executed", re.I)),
    ("Delivery", re.compile(r"deliver\w*|hand(?:ed)? over|completion|closing", re.I)),
    ("Payment", re.compile(r"\bpa(?:y|id|yable|yment)\w*|instalments?|\bdue\b", re.I)),
    ("Born", re.compile(r"\bborn\b|date of birth", re.I)),
    ("Review", re.compile(r"\breview\w*", re.I)),
    ("Signature", re.compile(r"\bDate:")),
    ("May be ended", re.compile(r"\bmay (?:also )?(?:end|terminate|cancel)\b|\bbreak (?:date|option)", re.I)),
    ("Available until", re.compile(r"\bavailab\w*[^.]{0,80}\buntil\b", re.I)),
)
_WHOLE = re.compile(r"\b(?:term|agreement|lease|tenancy|employment|contract|facility|loan)\b", re.I)
_WHOLE_NAME = r"(?:(?:Term|Lease|Initial|Agreement|Contract|Employment|Tenancy|Final|Loan)\s+)?"
_BEGIN_NAME = re.compile(_WHOLE_NAME + r"(?:Commencement|Effective|Start|Starting|Beginning)\s+Date")
_END_NAME = re.compile(_WHOLE_NAME + r"(?:Expiry|Expiration|Maturity|End|Termination|Final)\s+Date")
_PART = re.compile(
    r"renew|exten[ds]|option|probation|insur|warrant|notice|invoice|payments?\b|phase|holiday|report", re.I
)


class Mention(NamedTuple):
    """A date as written; ``date`` is ``None`` when the calendar has no such day."""

    start: int
    end: int
    words: str
    date: datetime.date | None
    ambiguous: bool = False


class Contradiction(NamedTuple):
    """Dates that cannot all hold."""

    reason: str
    evidence: list[Quote]


@functools.lru_cache(maxsize=4096)
def _parse(words: str) -> datetime.date | None:
    import dateparser

    settings = {"STRICT_PARSING": True, "DATE_ORDER": "DMY", "PREFER_LOCALE_DATE_ORDER": False}
    found = dateparser.parse(words, languages=["en"], settings=settings)
    return found.date() if found is not None else None


def _calendar(year: int, month: int, day: int) -> datetime.date | None:
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


def mentions(passages: Passages, *, month_first: bool = False) -> list[Mention]:
    """Every date of the text in order. 03/04/2026 is ambiguous and read by ``month_first``."""
    found = []
    for match in _DATE.finditer(passages.flat):
        groups = match.groupdict()
        ambiguous = False
        if groups["a4"]:
            first, second = int(groups["a4"]), int(groups["b4"])
            ambiguous = first != second and first <= 12 and second <= 12 and "/" in match.group()
            swap = second > 12 or (ambiguous and month_first)
            day, month = (second, first) if swap else (first, second)
            date = _calendar(int(groups["y4"]), month, day)
        elif groups["y3"]:
            date = _calendar(int(groups["y3"]), int(groups["m3"]), int(groups["d3"]))
        else:
            day_of, month_of = groups["d1"] or groups["d2"], groups["m1"] or groups["m2"]
            date = _parse(f"{day_of} {month_of.rstrip('.')} {groups['y1'] or groups['y2']}")
        found.append(Mention(match.start(), match.end(), " ".join(match.group().split()), date, ambiguous))
        if len(found) == _MOST:
            break
    return found


def key_dates(passages: Passages, found: list[Mention] | None = None, most: int = 40) -> list[KeyDate]:
    """The dates that exist, each with its label, telling ones first, at most ``most``."""
    made: list[KeyDate] = []
    for mention in mentions(passages) if found is None else found:
        if mention.date is None:
            continue
        label = _label(passages, mention)
        if not any(known.label == label and known.date == mention.date for known in made):
            made.append(KeyDate(label, mention.date, passages.quote(mention.start, mention.end)))
    telling = [date for date in made if date.label not in ("Date", "Payment")]
    return (telling + [date for date in made if date not in telling])[:most]


def _label(passages: Passages, mention: Mention) -> str:
    sentence = passages.sentence_at(mention.start)
    before = passages.flat[max(sentence.start, mention.start - 140) : mention.start]
    after = passages.flat[mention.end : mention.end + 70]
    named = _NAME_AFTER.search(after) or _NAME_BEFORE.search(before)
    if named is not None:
        return " ".join(named[1].split())
    nearest, label = -1, "Date"
    for name, pattern in _LABELS:
        for match in pattern.finditer(before):
            if match.end() > nearest or (match.end() == nearest and name not in (BEGINS, ENDS)):
                nearest, label = match.end(), name
    around = passages.flat[max(0, mention.start - 250) : sentence.end]
    if label in (BEGINS, ENDS) and (_PART.search(before) or not _WHOLE.search(around)):
        return "Date"  # a period of its own, not the agreement's
    return label


def is_begin(label: str) -> bool:
    """Whether a date's label says when the agreement begins."""
    return label == BEGINS or _BEGIN_NAME.fullmatch(label) is not None


def is_end(label: str) -> bool:
    """Whether a date's label says when the agreement ends."""
    return label == ENDS or _END_NAME.fullmatch(label) is not None


def add_months(date: datetime.date, months: int) -> datetime.date:
    """The same day some months later, or the month's last day."""
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    for day in (date.day, 30, 29, 28):
        try:
            return datetime.date(year, month + 1, day)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def contradictions(dates: list[KeyDate], term: Term | None) -> list[Contradiction]:
    """Why the dates cannot all hold; empty when they can."""
    found: list[Contradiction] = []
    labels = dict.fromkeys(date.label for date in dates)
    for label in labels:
        same = [date for date in dates if date.label == label]
        if len({date.date for date in same}) > 1 and (is_begin(label) or is_end(label)) and label.endswith("Date"):
            listed = " and ".join(_day(date.date) for date in same[:3])
            found.append(Contradiction(f"The {label} is given as {listed}.", [date.quote for date in same[:3]]))
    begins = [date for date in dates if is_begin(date.label)]
    ends = [date for date in dates if is_end(date.label)]
    if not begins or not ends:
        return found
    begin, end = begins[0], ends[0]
    found += _several_begins(begins, {contradiction.reason for contradiction in found})
    if end.date <= begin.date:
        reason = f"The agreement ends on {_day(end.date)}, before it begins on {_day(begin.date)}."
        found.append(Contradiction(reason, [begin.quote, end.quote]))
    elif term is not None and term.months:
        due = add_months(begin.date, term.months)
        if abs((end.date - due).days) > 3:
            reason = (
                f"A term of {term.value} from {_day(begin.date)} ends on {_day(due - datetime.timedelta(days=1))}, "
                f"but the end is given as {_day(end.date)}."
            )
            evidence = [quote for quote in (term.quote, begin.quote, end.quote) if quote is not None]
            found.append(Contradiction(reason, list({quote.text: quote for quote in evidence}.values())))
    return found


def _several_begins(begins: list[KeyDate], known: set[str]) -> list[Contradiction]:
    """A second day on which the agreement is said to begin. An effective date of its own is usual."""
    strict = [date for date in begins if "Effective" not in date.label]
    first: dict[datetime.date, KeyDate] = {}
    for date in strict:
        first.setdefault(date.date, date)
    if known or len(first) < 2:
        return []
    listed = " and also ".join(_day(day) for day in list(first)[:3])
    return [Contradiction(f"The agreement is said to begin on {listed}.", [date.quote for date in first.values()][:3])]


def _day(date: datetime.date) -> str:
    return f"{date.day} {date:%B %Y}"
