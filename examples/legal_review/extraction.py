"""The facts of a contract: parties, dates, amounts, governing law, term, citations.

``extract`` answers for any text, in time that grows with its length alone; what it does not find
stays empty, never guessed.
"""

# ruff: noqa: SIM905 - lists of words read better as words
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from examples.legal_review import dates, parties
from examples.legal_review.passages import Passages
from examples.legal_review.shapes import Amount, Citation, Facts, Finding, Term

_MOST = 40  # of each list
_AGAIN = 5  # times that the same sum is looked at
_CITED = 400_000  # characters searched for citations

NUMBERS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
} | {"twenty-four": 24, "twenty-five": 25, "thirty": 30, "thirty-six": 36, "forty-eight": 48, "sixty": 60}


def extract(text: str) -> Facts:
    """Everything that can be read off a contract's words."""
    passages = Passages(text)
    law = governing_law(passages)
    found = dates.mentions(passages, month_first=law is not None and is_american(law.value))
    return Facts(
        title=title(passages),
        parties=parties.find_parties(passages),
        dates=dates.key_dates(passages, found),
        amounts=amounts(passages),
        citations=citations(passages),
        governing_law=law,
        term=term(passages),
    )


def title(passages: Passages) -> str:
    """The heading of the document, in ordinary capitals."""
    heading: list[str] = []
    for _, line in passages.lines():
        if heading and not (line.isupper() and heading[0].isupper() and len(heading) < 3):
            break
        if len(line) > 90:
            break
        if re.search(r"[A-Za-z]{3}", line) and not re.match(r"(?:page|draft|ref|date|version)\b", line, re.I):
            heading.append(line)
    return sentence_capitals(" ".join(heading))


def sentence_capitals(words: str) -> str:
    """A heading in capitals as it would stand in a list: Bill of Sale for a Car."""
    if not words.isupper():
        return words
    return re.sub(r"(?<= )(?:Of|A|An|The|And|For|To|In|On|Or|By|With)(?= )", lambda m: m[0].lower(), words.title())


# --- governing law ------------------------------------------------------------------------

_PLACE = (
    r"(?:the\s+)?(?:(?:State|Commonwealth|Republic|Province|Kingdom)\s+of\s+)?"
    r"[A-Z][a-zA-Z]+(?:(?:\s+and\s+|\s+of\s+(?:the\s+)?|\s+)[A-Z][a-zA-Z]+){0,4}"
)
_RULED = r"\b(?:[Gg]overned|construed|interpreted|subject)\b[^.;]{0,120}?"
_LAW = (
    re.compile(rf"{_RULED}\blaws?\s+(?:of|in)\s+({_PLACE})"),
    re.compile(rf"{_RULED}\b(?:by|with|under|to)\s+([A-Z][a-z]+(?: [A-Z][a-z]+)?)\s+law\b"),
    re.compile(
        rf"\b(?:[Gg]overning|[Aa]pplicable)\s+law\b\s*(?:is|shall be|:)\s*(?:that of|the laws?\s+of)?\s*({_PLACE})"
    ),
    re.compile(rf"\b[Tt]he\s+laws?\s+of\s+({_PLACE})\s+(?:shall\s+)?(?:apply|applies|govern)"),
    re.compile(r"\b([A-Z][a-z]+(?: [A-Z][a-z]+)?)\s+law\s+(?:shall\s+)?(?:applies|apply|governs?)\b"),
    re.compile(
        r"\b(?:[Gg]overned|construed)\b[^.;]{0,80}?\blaws?\s+of\s+"
        r"(the\s+(?:state|jurisdiction|place|country|province)\s+(?:in\s+which|where)\s[^.,;]{3,60})"
    ),
)
_STATES = (
    "Alabama Alaska Arizona Arkansas California Colorado Connecticut Delaware Florida Georgia Hawaii Idaho Illinois "
    "Indiana Iowa Kansas Kentucky Louisiana Maine Maryland Massachusetts Michigan Minnesota Mississippi Missouri "
    "Montana Nebraska Nevada Hampshire Jersey Mexico York Carolina Dakota Ohio Oklahoma Oregon Pennsylvania "
    "Rhode Tennessee Texas Utah Vermont Virginia Washington Wisconsin Wyoming"
).split()


def governing_law(passages: Passages) -> Finding | None:
    """Which law governs, and the words that say so; ``None`` when it is missing or left blank."""
    for pattern in _LAW:
        match = pattern.search(passages.flat)
        if match is not None:
            place = re.sub(r"^the\s+", "", " ".join(match[1].split()))
            if place.lower() not in ("the", "this", "party", "parties"):
                return Finding(place, passages.quote(match.start(), match.end()))
    return None


def is_american(place: str) -> bool:
    """Whether a place writes the month before the day."""
    return "State of" in place or "United States" in place or any(word in _STATES for word in place.split())


# --- term -----------------------------------------------------------------------------------

_COUNT = r"(?:(?P<word>[a-z]+(?:-[a-z]+)?)\s*(?:\((?P<brackets>\d{1,3})\))?|(?P<digits>\d{1,3}))"
_TERM = re.compile(
    rf"\b(?:term|period|duration)\s+of\s+(?:not\s+less\s+than\s+)?{_COUNT}\s+(?P<unit>years?|months?)", re.I
)
_FORCE = re.compile(rf"\b(?:in force|in effect|continues?|runs)\s+for\s+{_COUNT}\s+(?P<unit>years?|months?)", re.I)
_WHOLE_TERM = re.compile(
    r"\b(?:initial|fixed|this (?:agreement|lease|contract)|the (?:lease|tenancy|term)|in force|commenc)", re.I
)
_OTHER_TERM = re.compile(
    r"confiden|secre|compet|probation|warrant|notice|retain|review|renew|extend|further|insur", re.I
)
_UNLIMITED = re.compile(
    r"\b(?:indefinite(?:ly)?(?: (?:term|period))?|in perpetuity|perpetual(?:ly)? (?:term|in force)|"
    r"without (?:any )?limit (?:in|of) time|for an unlimited (?:term|period|time)|"
    r"(?:continues?|remains?|be) (?:in (?:full )?(?:force|effect) )?until (?:it is )?terminated)",
    re.I,
)


def term(passages: Passages) -> Term | None:
    """How long the agreement runs; the clause that speaks of the whole agreement wins."""
    best: tuple[int, Term] | None = None
    for pattern in (_TERM, _FORCE):
        for match in pattern.finditer(passages.flat):
            months = _months(match)
            if months is None:
                continue
            sentence = passages.sentence_at(match.start())
            around = passages.flat[max(sentence.start, match.start() - 200) : min(sentence.end, match.end() + 100)]
            score = 2 * bool(_WHOLE_TERM.search(around)) - 3 * bool(_OTHER_TERM.search(around))
            if best is None or score > best[0]:
                unit = "month" if match["unit"].lower().startswith("month") else "year"
                count = months if unit == "month" else months // 12
                words = f"{count} {unit}{'s' * (count != 1)}"
                best = (score, Term(words, months, quote=passages.quote(match.start(), match.end())))
    if best is not None and best[0] >= 0:
        return best[1]
    for match in _UNLIMITED.finditer(passages.flat):
        sentence = passages.sentence_at(match.start())
        if not re.search(r"confiden|secre|licen[cs]e", passages.flat[sentence.start : sentence.end], re.I):
            return Term("unlimited", None, True, passages.quote(match.start(), match.end()))
    return None


def _months(match: re.Match[str]) -> int | None:
    digits = match["brackets"] or match["digits"]
    count = int(digits) if digits else NUMBERS.get((match["word"] or "").lower())
    if not count:
        return None
    return count if match["unit"].lower().startswith("month") else count * 12


# --- amounts ------------------------------------------------------------------------------------

_FIGURE = r"\d{1,3}(?:[,.'’ ]\d{3}){1,5}(?:[.,]\d{2})?(?!\d)|\d{1,12}(?:[.,]\d{1,2})?(?!\d)"
_SUM = re.compile(
    rf"(?P<before>\b(?:USD|EUR|GBP|CHF|US\$)|[$€£])\s?(?P<figure>{_FIGURE})(?P<scale>\s(?:million|thousand|billion)\b)?"
    rf"|(?<![\d.,])(?P<figure2>{_FIGURE})(?P<scale2>\s(?:million|thousand|billion))?\s?"
    r"(?P<after>(?:USD|EUR|GBP|CHF|dollars|euros?|pounds(?:\s+sterling)?|Swiss\s+francs)\b|€)"
)
_CURRENCIES = {
    "$": "USD", "US$": "USD", "dollars": "USD", "€": "EUR", "euro": "EUR", "euros": "EUR", "£": "GBP",
    "pounds": "GBP", "pounds sterling": "GBP", "Swiss francs": "CHF",
}  # fmt: skip
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_PURPOSES = re.compile(
    r"(?P<Rent>\brent\b)|(?P<Deposit>deposit)|(?P<Service_charge>service charge)|(?P<Salary>salary|wage)|"
    r"(?P<Bonus>bonus)|(?P<Purchase_price>purchase price|consideration)|(?P<Price>\bprice)|"
    r"(?P<Principal>principal|commitment|facility|loan\b)|(?P<Instalment>instal(?:l)?ment)|"
    r"(?P<Rebuilding_cost>(?:cost of )?rebuilding)|(?P<Balance>\bbalance\b)|(?P<Insurance>insur)|"
    r"(?P<Liability_limit>liabilit)|(?P<Penalty>penalt|liquidated|late (?:fee|charge))|(?P<Fee>\bfees?\b|charges?\b)|"
    r"(?P<Expenses>expens|costs?\b)|(?P<Valuation>valu)|(?P<Threshold>exceed|threshold)",
    re.I,
)


def amounts(passages: Passages) -> list[Amount]:
    """Sums of money with what they are for, each once, telling ones first."""
    from price_parser import Price

    found: list[Amount] = []
    seen: set[tuple[str, str, str]] = set()
    written: Counter[str] = Counter()
    for match in _SUM.finditer(passages.flat):
        written[match.group()] += 1
        if written[match.group()] > _AGAIN:
            continue
        price = Price.fromstring(match["figure"] or match["figure2"])
        if price.amount is None:
            continue
        scale = (match["scale"] or match["scale2"] or "").strip()
        value: Decimal = price.amount * _SCALES.get(scale, 1)
        sign = " ".join((match["before"] or match["after"]).split())
        shown = f"{value:.2f}" if value % 1 else f"{value:.0f}"
        amount = (_purpose(passages, match.start()), shown, _CURRENCIES.get(sign, sign))
        if amount not in seen:
            seen.add(amount)
            found.append(Amount(*amount, passages.quote(match.start(), match.end())))
        if len(found) == 10 * _MOST:
            break
    return sorted(found, key=lambda amount: amount.label in ("Amount", "Instalment"))[:_MOST]


def _purpose(passages: Passages, offset: int) -> str:
    """The purpose named nearest before a sum; in "The price of … is £5" the first of the sentence."""
    sentence = passages.sentence_at(offset)
    found = list(_PURPOSES.finditer(passages.flat, max(sentence.start, offset - 240), offset))
    if not found:
        return "Amount"
    is_subject = passages.flat[max(0, offset - 5) : offset].endswith((" is ", " are "))
    nearest = found[0] if is_subject else found[-1]
    return (nearest.lastgroup or "Amount").replace("_", " ")


# --- citations ----------------------------------------------------------------------------------

_STATUTE = re.compile(
    r"(?:\b[Ss]ections?\s+\d{1,4}[A-Z]?(?:\(\d{1,2}\))?\s+of\s+)?\b(?:the\s+)?"
    r"((?:[A-Z][a-z]+\s+|\([A-Z][a-z ]{3,40}\)\s+|and\s+|of\s+){1,7}Act\s+(?:of\s+)?(?:1[89]|20)\d\d)\b"
    r"|\b(?:Regulation|Directive)\s+(?:\(E[UC]\)\s+)?(?:No\s+)?\d{2,4}/\d{2,4}(?:/E[UC]C?)?"
)

_LIKELY = re.compile(r"\b\d{1,4}\s+[A-Z][A-Za-z.&' 0-9]{1,30}?\s+(?:§{1,2}\s*)?\d{1,5}\b")
_BEFORE, _BEHIND = 250, 120  # characters around it that a citation may take
_WINDOWS = 80
_LONG_WORD = re.compile(r"\S{60,}")


def citations(passages: Passages) -> list[Citation]:
    """Cases, statutes and journals that the text refers to, each once."""
    flat = passages.flat[:_CITED]
    made: dict[str, Citation] = {}
    for start, end in _windows(flat):
        for kind, first, last in _cited(flat[start:end]):
            words = " ".join(flat[start + first : start + last].split())[:200]
            made.setdefault(words, Citation(words, kind, passages.quote(start + first, start + last)))
    for match in _STATUTE.finditer(flat):
        words = " ".join(match.group().split())
        made.setdefault(words, Citation(words, "statute", passages.quote(match.start(), match.end())))
    return list(made.values())[:_MOST]


def _windows(flat: str) -> Iterator[tuple[int, int]]:
    """Where citations may stand: eyecite's time grows with the square of some texts, so it sees only these."""
    start = end = count = 0
    for match in _LIKELY.finditer(flat):
        if count and match.start() - _BEFORE <= end and match.end() + _BEHIND - start < 1_000:
            end = match.end() + _BEHIND
            continue
        if count:
            yield start, end
        if count == _WINDOWS:
            return
        count += 1
        start, end = max(end, match.start() - _BEFORE), match.end() + _BEHIND
    if count:
        yield start, end


def _cited(text: str) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of each full citation in a short text."""
    from eyecite import get_citations
    from eyecite.models import FullCaseCitation, FullJournalCitation, FullLawCitation

    kinds = ((FullCaseCitation, "case"), (FullLawCitation, "statute"), (FullJournalCitation, "journal"))
    text = _LONG_WORD.sub(lambda word: " " * len(word[0]), text)
    if not text.strip():
        return
    for citation in get_citations(text):
        kind = next((name for known, name in kinds if isinstance(citation, known)), None)
        if kind is not None:
            span = citation.full_span() if kind == "case" else citation.span()  # type: ignore[no-untyped-call]
            yield kind, *span
