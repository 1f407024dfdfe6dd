"""Who the parties are, and which of them the document leaves blank.

Recognises the forms in which contracts introduce parties: a name with its role in brackets, a
label before a name, and a plain "between A and B".
"""

from __future__ import annotations

import re

from examples.legal_review.passages import Passages
from examples.legal_review.shapes import Party

_HEAD = 6_000  # characters in which the parties are introduced
_REGION = 3_500  # characters that the introduction may take
_MOST = 12

_BETWEEN = re.compile(r"\b(?:by and between|between|by and among|among|parties)\b\s*:?", re.I)
_AFTER = re.compile(
    r"\b(?:whereas|recitals|background|now,? therefore|it is (?:hereby )?agreed|the parties (?:hereby )?agree|"
    r"agreed terms|preamble)\b",
    re.I,
)
_ROLE = re.compile(
    r"\(\s*(?:hereinafter|each|together|collectively|referred to as|called|the|an?|as|,|\s){0,8}"
    r"[\"“']\s*(?:the\s+)?([A-Z][A-Za-z -]{2,40}?)\s*[\"”'](?:[^()]{0,60})\)"
)
_HEREINAFTER = re.compile(
    r"[,\s(]*\bhereina?fter\s+(?:(?:called|known|referred\s+to|collectively|individually|and|as)\s+){0,5}"
    r"(?:the\s+)?[\"“']?([A-Z][A-Za-z-]{2,20}(?:\s[A-Z][a-z]+)?)[\"”']?(?=\s*[),;.]|\s+and\b)"
)
_LABEL = re.compile(
    r"^(?:the\s+)?(Landlord|Tenant|Lessor|Lessee|Seller|Buyer|Purchaser|Vendor|Employer|Employee|Company|Client|"
    r"Customer|Contractor|Consultant|Supplier|Service Provider|Provider|Lender|Borrower|Guarantor|Licensor|Licensee|"
    r"Discloser|Recipient|Disclosing Party|Receiving Party|Party [AB12])\s*:\s*(.{0,160})$",
    re.I | re.M,
)
_NO_PARTY = re.compile(
    r"agreement|lease$|contract$|deed|date|^part(?:y|ies)$|term$|purpose|premises|property|loan$|facility|note$|"
    r"services$|goods|project|schedule|transaction|confidential|group",
    re.I,
)
_BLANK = re.compile(
    r"_{3,}|\.{5,}|…{2,}|\[[^\]]{0,60}\]|●|<[^>]{0,40}>|\{\{[^}]{0,60}\}\}|\bT\.?B\.?[AC]\b|"
    r"\bto be (?:confirmed|named|inserted)\b",
    re.I,
)
_ENUMERATOR = re.compile(
    r"^[\s,;:.]*(?:and|or|between|by)?[\s,;:]*(?:\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)]\s+)?(?:and\s+)?", re.I
)
_TAIL = re.compile(
    r"\s*(?:,\s+(?:an?|the|of|whose|which|with|having|incorporated|organi[sz]ed|born|residing|registered|acting|"
    r"represented|company|a company|trading|established|husband|wife|jointly|together)\b|\s*\([\"“]|"
    r",?\s+(?:(?:of|at)\s+)?\d|\s+whose\b|\s+having\b|\s+of\s+[A-Z][a-z]|"
    r"\s*\((?i:company|registered|registration|reg\.|no\.|number)\b|\s*[;:]|\s+incorporated\b|\s+residing\b)",
)
_AND_LINE = re.compile(r"\n\s*and\b[: \t]*(?=\s)", re.I)
_PERSON_OR_FIRM = r"[A-Z][\w.&'’-]*(?:[ ,]+(?:[A-Z(&][\w.&'’()-]*|of|and Sons|plc|de|van|von|for)){0,7}"
_NOTE = re.compile(
    rf"\bundersigned,?\s+({_PERSON_OR_FIRM}),[^.]{{0,200}}?promises?\s+to\s+pay\s+to\s+(?:the\s+order\s+of\s+)?"
    rf"({_PERSON_OR_FIRM})"
)
_PLAIN = re.compile(rf"\bbetween\s+({_PERSON_OR_FIRM})\s+and\s+({_PERSON_OR_FIRM})")


def find_parties(passages: Passages) -> list[Party]:
    """The parties in order; one that the document leaves blank has an empty name."""
    head = passages.flat[:_HEAD]
    found: list[Party] = []
    for between in _BETWEEN.finditer(head):
        found = _by_roles(passages, between.end())
        if found:
            break
    if len(found) < 2:
        found = _merge(found, _by_labels(passages))
    if len(found) < 2:
        found = _merge(found, _of_a_note(passages))
    if len(found) < 2:
        plain = _PLAIN.search(head)
        if plain is not None:
            names = [Party(_name(plain[at]), "", passages.quote(plain.start(at), plain.end(at))) for at in (1, 2)]
            found = _merge(found, [party for party in names if party.name])
    return found[:_MOST]


def missing_roles(parties: list[Party]) -> list[str]:
    """The roles of the parties that nobody has named; ``""`` stands for a second party of unknown role."""
    missing = [party.role for party in parties if not party.name]
    if not missing and len(parties) < 2:
        missing = [""]
    return missing


def _of_a_note(passages: Passages) -> list[Party]:
    """Who promises whom to pay, in a promissory note."""
    note = _NOTE.search(passages.flat, 0, _HEAD)
    if note is None:
        return []
    quote = passages.quote(note.start(), note.end())
    return [Party(_name(note[1]), "Maker", quote), Party(_name(note[2]), "Payee", quote)]


def _by_roles(passages: Passages, start: int) -> list[Party]:
    """Parties introduced as: Name, whatever describes it (the "Role")."""
    flat = passages.flat
    after = _AFTER.search(flat, start, start + _REGION)
    end = after.start() if after else min(len(flat), start + _REGION)
    found: list[Party] = []
    seen = start
    pattern = _ROLE if _ROLE.search(flat, start, end) else _HEREINAFTER
    for role in pattern.finditer(flat, start, end):
        seen = _after_and(passages.text, seen, role.start())
        words = flat[seen : role.start()]
        title = role[1].strip()
        if _NO_PARTY.search(title):
            seen = role.end() if len(words) < 400 and not found else seen
            if found:
                break
            continue
        if len(words) > 600:
            break
        name = _name(words)
        blank = _BLANK.search(words)
        if name or blank:
            begin = seen + len(words) - len(words.lstrip())
            found.append(Party("" if blank and not name else name, title, passages.quote(begin, role.end())))
        seen = role.end()
    return found


def _after_and(text: str, start: int, end: int) -> int:
    """Where the next party begins: behind an "and" on a line of its own, past the address of the one before."""
    last = start
    for line in _AND_LINE.finditer(text, start, end):
        last = line.end()
    return last


def _by_labels(passages: Passages) -> list[Party]:
    """Parties introduced as: Role: Name."""
    found: dict[str, Party] = {}
    for label in _LABEL.finditer(passages.text, 0, _HEAD):
        role = label[1].title()
        if role not in found:
            found[role] = Party(_name(label[2]), role, passages.quote(label.start(), label.end()))
    return list(found.values())


def _name(words: str) -> str:
    """The name at the head of a description, or ``""`` when it is left blank."""
    text = " ".join(words.split())
    text = text[_ENUMERATOR.match(text).end() :] if _ENUMERATOR.match(text) else text  # type: ignore[union-attr]
    tail = _TAIL.search(text)
    name = text[: tail.start()] if tail else text
    name = re.split(r"\s+(?:hereinafter|being)\b", name)[0].strip(' ,;:.-–—"“”')
    if re.search(r"(?:\b(?:Ltd|Inc|Co|Corp|Bros)|\.[A-Z])$", name) and f"{name}." in text:
        name += "."
    if _BLANK.search(name) or not re.search(r"[A-Za-z]{2}", name) or not name[:1].isupper() or len(name) > 120:
        return ""
    return name


def _merge(first: list[Party], second: list[Party]) -> list[Party]:
    known = {party.role.lower() for party in first if party.role} | {party.name.lower() for party in first}
    return first + [p for p in second if p.role.lower() not in known and (not p.name or p.name.lower() not in known)]
