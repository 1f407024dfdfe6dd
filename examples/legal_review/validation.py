"""The rules that a contract is checked against.

Each rule is a function that yields issues with its own id, a severity, a reason and the words
that prove it. Rules depend on the text alone, so that they run beside the extraction.
"""

# ruff: noqa: SIM905 - lists of words read better as words
from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from examples.legal_review import dates, defined_terms, extraction, parties
from examples.legal_review.passages import Passages
from examples.legal_review.shapes import Facts, Issue, KindName, Quote

MISSING_PARTY = "missing-party"
NO_GOVERNING_LAW = "no-governing-law"
DATES_CONTRADICT = "dates-contradict"

_ORDER = {"high": 0, "medium": 1, "low": 2}
_MOST = 5  # pieces of evidence for one issue

Rule = Callable[["Checked"], Iterator[Issue]]


class Checked:
    """What the rules look at: a text and what was read off it, once."""

    def __init__(self, text: str, kind: KindName = "other") -> None:
        self.kind = kind
        self.passages = Passages(text)
        self.flat = self.passages.flat
        law = extraction.governing_law(self.passages)
        self.mentions = dates.mentions(self.passages, month_first=law is not None and extraction.is_american(law.value))
        self.facts = Facts(
            parties=parties.find_parties(self.passages),
            dates=dates.key_dates(self.passages, self.mentions),
            governing_law=law,
            term=extraction.term(self.passages),
        )

    def quotes(self, pattern: re.Pattern[str], most: int = _MOST) -> list[Quote]:
        """The first sentences in which a pattern occurs."""
        found: dict[str, Quote] = {}
        for match in pattern.finditer(self.flat):
            quote = self.passages.quote(match.start(), match.end())
            found.setdefault(quote.text, quote)
            if len(found) == most:
                break
        return list(found.values())


def validate(text: str, kind: KindName = "other") -> list[Issue]:
    """Every issue of a document, the severest first."""
    checked = Checked(text, kind)
    if kind == "other" and _is_no_contract(checked):
        reason = "It names no parties, no governing law and no place to sign, so the rules were not applied."
        return [Issue("not-a-contract", "high", "This does not look like a contract", reason)]
    issues = [issue for rule in RULES for issue in rule(checked)]
    return sorted(issues, key=lambda issue: _ORDER[issue.severity])


def _is_no_contract(checked: Checked) -> bool:
    return not checked.facts.parties and checked.facts.governing_law is None and not _SIGNED.search(checked.flat)


# --- what no contract can do without -------------------------------------------------------

_SIGNED = re.compile(
    r"\b(?:in witness whereof|signed (?:by|for|as|on behalf)|signature\s*:|signatures\b|executed (?:as a deed|by|on)|"
    r"authori[sz]ed signator|agreed and accepted|the undersigned have|signature\b[^.]{0,40}_{3,}|by:\s*_{3,}|"
    r"duly authori[sz]ed representative|/s/)",
    re.I,
)


def missing_signature_block(checked: Checked) -> Iterator[Issue]:
    """A contract ends with a place to sign."""
    tail = checked.flat[len(checked.flat) // 3 :] if len(checked.flat) > 3_000 else checked.flat
    if _SIGNED.search(tail) is None:
        last = [span for span in checked.passages.sentences if span.end - span.start > 20][-1:]
        evidence = [Quote(checked.passages.words_of(span), checked.passages.page_at(span.start)) for span in last]
        reason = "No signature block was found. The document seems to end with the words quoted here."
        yield Issue("missing-signature-block", "high", "No place to sign", reason, evidence)


def missing_party(checked: Checked) -> Iterator[Issue]:
    """A contract names at least two parties."""
    found = checked.facts.parties
    for role in parties.missing_roles(found):
        blank = [party.quote for party in found if not party.name and party.role == role and party.quote]
        known = [party.quote for party in found if party.name and party.quote]
        title = f"The {role} is not named" if role else "A party is missing"
        named = ", ".join(party.name for party in found if party.name)
        reason = f"Only {named} is named." if named else "No party was found by name."
        if blank:
            reason = f"The document leaves the name of the {role} blank."
        yield Issue(MISSING_PARTY, "high", title, reason, (blank or known)[:_MOST])


def no_governing_law(checked: Checked) -> Iterator[Issue]:
    """A contract says which law governs it."""
    if checked.facts.governing_law is None:
        evidence = checked.quotes(re.compile(r"\b(?:governing law|governed by|jurisdiction|applicable law)\b", re.I), 2)
        reason = "No clause says which law governs the agreement, so a court would have to find out."
        yield Issue(NO_GOVERNING_LAW, "high", "No governing law", reason, evidence)


def dates_contradict(checked: Checked) -> Iterator[Issue]:
    """Begin, end and term agree with one another."""
    for found in dates.contradictions(checked.facts.dates, checked.facts.term):
        yield Issue(DATES_CONTRADICT, "high", "Dates contradict each other", found.reason, found.evidence[:_MOST])


def impossible_date(checked: Checked) -> Iterator[Issue]:
    """Every date is a day of the calendar."""
    wrong = [mention for mention in checked.mentions if mention.date is None]
    if wrong:
        listed = ", ".join(dict.fromkeys(mention.words for mention in wrong[:_MOST]))
        evidence = [checked.passages.quote(mention.start, mention.end) for mention in wrong[:_MOST]]
        reason = f"The calendar has no such day: {listed}."
        yield Issue("impossible-date", "high", "A date that does not exist", reason, evidence)


def ambiguous_date(checked: Checked) -> Iterator[Issue]:
    """No date can be read in two ways."""
    unclear = [mention for mention in checked.mentions if mention.ambiguous]
    if unclear:
        evidence = [checked.passages.quote(mention.start, mention.end) for mention in unclear[:_MOST]]
        reason = f"{unclear[0].words} can mean two days, by whether the day or the month stands first."
        yield Issue("ambiguous-date", "low", "A date with two readings", reason, evidence)


# --- words ------------------------------------------------------------------------------------


def undefined_terms(checked: Checked) -> Iterator[Issue]:
    """A term that is written like a defined one has a definition."""
    for term, places in defined_terms.undefined(checked.passages, checked.facts.parties):
        evidence = [checked.passages.quote(*place) for place in places[:3]]
        reason = f"“{term}” is used {len(places)} times like a defined term, but no definition was found."
        yield Issue("undefined-term", "medium", f"“{term}” is not defined", reason, evidence)


def unused_definition(checked: Checked) -> Iterator[Issue]:
    """A definition is used."""
    for term, place in defined_terms.unused(checked.passages)[:_MOST]:
        reason = f"“{term}” is defined and then never used."
        evidence = [checked.passages.quote(*place)]
        yield Issue("unused-definition", "low", f"“{term}” is never used", reason, evidence)


def dangling_reference(checked: Checked) -> Iterator[Issue]:
    """A reference leads to a clause that exists."""
    for reference, places in defined_terms.dangling(checked.passages)[:_MOST]:
        reason = f"The text refers to {reference}, but there is no such clause."
        evidence = [checked.passages.quote(*place) for place in places[:3]]
        yield Issue("dangling-reference", "medium", f"{reference} does not exist", reason, evidence)


_PLACEHOLDER = re.compile(
    r"\[(?:●|•|\.{2,}|…|_+|(?:insert|name|date|amount)[^\]]{0,60})\]|\{\{[^}]{1,60}\}\}|●|\bTB[CD]\b", re.I
)
_LINE = re.compile(r"_{4,}")
_SIGNING = re.compile(r"sign|by:|name:|title:|date:|witness", re.I)


def placeholder_left(checked: Checked) -> Iterator[Issue]:
    """Nothing was left to be filled in, other than signatures."""
    evidence = checked.quotes(_PLACEHOLDER)
    for match in _LINE.finditer(checked.flat):
        around = checked.flat[max(0, match.start() - 60) : match.start()]
        if not _SIGNING.search(around) and len(evidence) < _MOST:
            evidence.append(checked.passages.quote(match.start(), match.end()))
    if evidence:
        unique = list({quote.text: quote for quote in evidence}.values())
        reason = "Words were left to be filled in."
        yield Issue("placeholder-left", "medium", "Blanks to be filled in", reason, unique)


_WORDS_AND_FIGURES = re.compile(
    r"\b((?:(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
    r"seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|and)"
    r"[\s-]+){1,8})(?:dollars|pounds|euros?|days|months|years|per cent)?\s*"
    r"\(\s*(?:[$€£]|USD|EUR|GBP)?\s*(\d[\d,]*)\s*\)",
    re.I,
)


def words_and_figures(checked: Checked) -> Iterator[Issue]:
    """A number in words equals the same number in figures."""
    for match in _WORDS_AND_FIGURES.finditer(checked.flat):
        words, figures = _number(match[1]), int(match[2].replace(",", ""))
        if words is not None and words != figures:
            reason = f"The words say {words:,}, the figures {figures:,}."
            evidence = [checked.passages.quote(match.start(), match.end())]
            yield Issue("words-and-figures", "high", "Words and figures differ", reason, evidence)


_TENS = {w: 20 + 10 * n for n, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())}


def _number(words: str) -> int | None:
    """The value of a number in English words."""
    total = part = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in ("hundred", "thousand", "million"):
            part = max(part, 1) * {"hundred": 100, "thousand": 1_000, "million": 1_000_000}[word]
            if word != "hundred":
                total, part = total + part, 0
        elif word != "and":
            value = _TENS.get(word, extraction.NUMBERS.get(word))
            if value is None:
                return None
            part += value
    return total + part or None


# --- clauses that deserve a second look -----------------------------------------------------------


def unlimited_term(checked: Checked) -> Iterator[Issue]:
    """An agreement ends some day. Employment usually has no fixed end."""
    term = checked.facts.term
    if term is not None and term.unlimited and checked.kind != "employment":
        reason = "The agreement runs without an end. See whether each party can terminate it, and how."
        yield Issue("unlimited-term", "medium", "Unlimited term", reason, [term.quote] if term.quote else [])


_RENEWS = re.compile(r"\b(?:renews? automatically|automatically renew|automatic(?:ally)? (?:renewal|extended))\b", re.I)
_UNLIMITED = re.compile(
    r"\bunlimited liability\b|\bliability (?:of [\w ]{1,40} )?(?:is|shall be) (?:not limited|unlimited)\b|"
    r"\bwithout limit of liability\b",
    re.I,
)
_LIMIT = re.compile(r"\bliab\w*[^.]{0,120}\b(?:limit\w*|exceed|cap)\b|\blimitation of liability\b", re.I)


def automatic_renewal(checked: Checked) -> Iterator[Issue]:
    """A person should know that the agreement renews itself."""
    if evidence := checked.quotes(_RENEWS, 2):
        reason = "The agreement renews itself unless notice is given in time. Note the date."
        yield Issue("automatic-renewal", "low", "Renews automatically", reason, evidence)


def liability(checked: Checked) -> Iterator[Issue]:
    """Liability has a limit where contracts of its kind have one."""
    if evidence := checked.quotes(_UNLIMITED, 2):
        reason = "A party is liable without limit."
        yield Issue("unlimited-liability", "medium", "Unlimited liability", reason, evidence)
    elif checked.kind in ("services", "other") and _LIMIT.search(checked.flat) is None:
        evidence = checked.quotes(re.compile(r"\b(?:indemnif|liable)\w*", re.I), 1)
        if evidence:
            reason = "The agreement speaks of liability or indemnity but sets no limit to it."
            yield Issue("no-liability-limit", "low", "No limit of liability", reason, evidence)


RULES: tuple[Rule, ...] = (
    missing_signature_block,
    missing_party,
    no_governing_law,
    dates_contradict,
    impossible_date,
    words_and_figures,
    undefined_terms,
    dangling_reference,
    placeholder_left,
    unlimited_term,
    liability,
    automatic_renewal,
    ambiguous_date,
    unused_definition,
)
