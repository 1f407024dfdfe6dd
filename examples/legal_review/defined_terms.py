"""Defined terms and references: what is used but not defined, defined but not used, or leads nowhere."""

# ruff: noqa: SIM905 - lists of words read better as words
from __future__ import annotations

import re
from collections import defaultdict

from examples.legal_review.passages import Passages, Span
from examples.legal_review.shapes import Party

_WORD = r"[A-Z][a-z]+(?:-[A-Z]?[a-z]+)?"
_DEFINED = re.compile(
    r"[\"“]([A-Z][\w &'’/-]{1,60}?)[\"”]\s*(?:,\s*)?(?:\([^)]{0,60}\)\s*)?"
    r"(?:shall\s+|has\s+|have\s+)?(?:means?|includes?|refers?|the\s+meaning|is\b|are\b)"
    r"|\(\s*(?:(?:hereinafter|each|together|collectively|referred|called|to|as|the|this|an?|and|,)\s+){0,8}"
    r"[\"“]\s*(?:the\s+)?([A-Z][\w &'’/-]{1,60}?)\s*[\"”][^)]{0,60}\)"
)
_USED = re.compile(
    r"\b(?:[Tt]he|[Aa]ny|[Ee]ach|[Aa]ll|[Aa]n?|[Ss]uch|[Nn]o|[Tt]hese|[Tt]hose|[Ii]ts)\s+"
    rf"({_WORD}(?:\s+{_WORD}){{0,2}})\b"
)
_COMMON = frozenset(
    """agreement contract deed lease party parties section clause article schedule exhibit annex appendix part recital
    act code law laws court courts regulation directive state states government county city kingdom republic union
    bank england wales scotland ireland court courts minister ministry department office board director directors
    officer president secretary treasurer chairman chairperson manager internet exchange land registry monday tuesday
    wednesday thursday friday saturday sunday january february march april may june july august september october
    november december company buyer seller landlord tenant employer employee lender borrower guarantor client customer
    contractor consultant supplier provider purchaser vendor lessor lessee licensor licensee discloser recipient
    english american european british swiss german french dutch delaware munich zurich geneva north south east west
    senior junior data analyst lord lady mr mrs ms dr note cleaner supervisor technician address internal revenue
    netherlands
    background signatures definitions term general notices effective date commencement sale purchase
    disclosing receiving confidential information""".split()
)
_REFERENCE = re.compile(
    r"\b([Cc]lauses?|[Ss]ections?|[Aa]rticles?)\s+(\d{1,3}(?:\.\d{1,3}){0,2})"
    r"(?![\w.]\w)(?![A-Za-z0-9])(?!\s*(?:of|U\.S)\b)(?:\([a-z0-9]+\))?"
)
_NUMBERED = re.compile(
    r"(?:^|[\n\f])\s*(?:(?:Clause|Section|Article|CLAUSE|SECTION|ARTICLE)\s+)?(\d{1,3}(?:\.\d{1,3}){0,2})[.)]?\s+(?=\S)"
)


def definitions(passages: Passages) -> dict[str, Span]:
    """Each defined term with the place of its definition."""
    found: dict[str, Span] = {}
    for match in _DEFINED.finditer(passages.flat):
        term = " ".join((match[1] or match[2]).split())
        found.setdefault(term, Span(match.start(), match.end()))
    return found


def undefined(passages: Passages, parties: list[Party], least: int = 2, most: int = 8) -> list[tuple[str, list[Span]]]:
    """Terms used at least ``least`` times as if they were defined, with their places."""
    covered = _covered(passages)
    names = {word.lower() for party in parties for word in f"{party.name} {party.role}".split()}
    places: dict[str, list[Span]] = defaultdict(list)
    for match in _USED.finditer(passages.flat):
        words = match[1].split()
        everyday = any(word.lower() in _COMMON or word.lower().rstrip("s") in _COMMON for word in words)
        if everyday or any(word.lower() in names for word in words):
            continue
        if not covered[match.start(1)] or not covered[match.end(1) - 1]:
            places[" ".join(words)].append(Span(match.start(1), match.end(1)))
    grouped: dict[str, list[Span]] = {}
    shown: dict[str, str] = {}
    for term, spans in places.items():
        stem = _stem(term)
        shown.setdefault(stem, term)
        grouped.setdefault(stem, []).extend(spans)
    enough = [(shown[stem], spans) for stem, spans in grouped.items() if len(spans) >= least]
    return sorted(enough, key=lambda item: -len(item[1]))[:most]


def unused(passages: Passages) -> list[tuple[str, Span]]:
    """Definitions that nothing refers to."""
    found = []
    for term, span in definitions(passages).items():
        pattern = re.compile(rf"\b{_loose(_stem(term))}", re.I)
        hits = [m for m in pattern.finditer(passages.flat) if not span.start <= m.start() < span.end]
        if not hits:
            found.append((term, span))
        if len(found) == 20:
            break
    return found


def dangling(passages: Passages) -> list[tuple[str, list[Span]]]:
    """References to numbered clauses that the text does not have."""
    numbers = {match[1] for match in _NUMBERED.finditer(passages.text)}
    if len(numbers) < 4:
        return []  # the document does not number its clauses
    found: dict[str, list[Span]] = defaultdict(list)
    for match in _REFERENCE.finditer(passages.flat):
        number = match[2]
        if number not in numbers and not any(known.startswith(f"{number}.") for known in numbers):
            found[f"{match[1].rstrip('s').capitalize()} {number}"].append(Span(match.start(), match.end()))
    return list(found.items())


def _covered(passages: Passages) -> bytearray:
    """For each offset, whether it lies within a defined term."""
    covered = bytearray(len(passages.flat))
    terms = sorted((_stem(term) for term in definitions(passages)), key=len, reverse=True)
    if terms:
        pattern = re.compile(rf"\b(?:{'|'.join(map(_loose, terms))})(?:s|ies|y)?\b", re.I)
        for match in pattern.finditer(passages.flat):
            covered[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    return covered


def _loose(term: str) -> str:
    """A pattern for a term, whatever blanks or line ends divide its words."""
    return r"\s+".join(re.escape(word) for word in re.sub(r"y$", "", term).split())


def _stem(term: str) -> str:
    term = " ".join(term.lower().split())
    return re.sub(r"ies$", "y", term) if term.endswith("ies") else term.rstrip("s")
