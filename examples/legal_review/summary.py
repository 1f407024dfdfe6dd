"""A summary made of the document's own sentences.

Sentences vote for those they share words with (LexRank: the stationary distribution of a walk over
similar sentences); the winners are taken in turn, as long as they say something new, and given back
in the order of the document. Nothing is rephrased.

Source: Erkan and Radev, LexRank (2004); Carbonell and Goldstein, maximal marginal relevance (1998).
"""

# ruff: noqa: SIM905 - lists of words read better as words
from __future__ import annotations

import math
import re
from collections import Counter

from examples.legal_review.passages import Passages
from examples.legal_review.shapes import KIND_TITLES, Facts, Kind, Sentence, Summary

_CANDIDATES = 500  # sentences compared with one another
_REPEATED = 0.7  # similarity from which a sentence says nothing new
_SHARED = 0.1  # similarity from which sentences are neighbours
_WORD = re.compile(r"[a-z]{3,}")
_STOP = frozenset(
    "the and for any that this with shall not are has have its from which such all other will may under upon been "
    "was were but than who whom each into out".split()
)
_TELLING = re.compile(
    r"\b(?:shall|must|pays?|agrees?|term|price|rent|salary|fee|interest|repay|deliver|terminat\w+|governed|liab\w+|"
    r"confidential\w*|security|warrant\w*)\b",
    re.I,
)


_DEFINITION = re.compile(r"[\d.() a-z]{0,12}[\"“][^\"”]{1,60}[\"”]\s+means")


def summarize(text: str, kind: Kind, facts: Facts, most: int = 6) -> Summary:
    """One line about the agreement, and at most ``most`` of its sentences in order."""
    return Summary(headline(kind, facts), key_sentences(text, most))


def headline(kind: Kind, facts: Facts) -> str:
    """The agreement in one line, from its facts."""
    named = []
    for party in facts.parties:
        role = f" ({party.role})" if party.role and party.role not in party.name else ""
        named.append(f"{party.name}{role}" if party.name else f"a {party.role or 'party'} who is not named")
    line = facts.title or KIND_TITLES[kind.name]
    if named:
        listed = named[0] if len(named) == 1 else ", ".join(named[:-1]) + " and " + named[-1]
        line += f" {'between' if len(named) > 1 else 'of'} {listed}"
    if facts.term is not None:
        line += ", without a fixed end" if facts.term.unlimited else f", for {facts.term.value}"
    if facts.governing_law is not None:
        line += f", under the law of {_with_article(facts.governing_law.value)}"
    return line + "."


def _with_article(place: str) -> str:
    return (
        f"the {place}"
        if re.match(
            r"(?:State|Commonwealth|Republic|Kingdom|United|Netherlands|state|jurisdiction|place|country|province)\b",
            place,
        )
        else place
    )


def key_sentences(text: str, most: int = 6) -> list[Sentence]:
    """The sentences that say most about the rest, in the order of the document."""
    import numpy as np

    passages = Passages(text)
    spans = [span for span in passages.sentences if _worth(passages.flat[span.start : span.end])]
    if len(spans) > _CANDIDATES:
        spans = spans[:: math.ceil(len(spans) / _CANDIDATES)]
    if not spans:
        return []
    bags = [Counter(_terms(passages.flat[span.start : span.end])) for span in spans]
    in_sentences = Counter(term for bag in bags for term in bag)
    index = {term: at for at, term in enumerate(in_sentences)}
    vectors = np.zeros((len(bags), max(len(index), 1)), dtype=np.float32)
    for row, bag in enumerate(bags):
        for term, count in bag.items():
            vectors[row, index[term]] = count * math.log(1 + len(bags) / in_sentences[term])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    similar = vectors @ vectors.T
    nearest = np.tril(similar, -1).max(axis=1)
    new = [float(value) <= _REPEATED for value in nearest]  # schedules repeat a sentence for each item
    similar, spans = similar[np.ix_(new, new)], [span for span, kept in zip(spans, new, strict=True) if kept]
    links = np.where(similar >= _SHARED, similar, 0.0)
    walk = links / np.maximum(links.sum(axis=1, keepdims=True), 1e-9)
    rank = np.full(len(spans), 1 / len(spans))
    for _ in range(50):
        rank = 0.15 / len(spans) + 0.85 * (rank @ walk)
    score = rank / rank.max()
    for row, span in enumerate(spans):
        words = passages.flat[span.start : span.end]
        score[row] += 0.25 * min(len(_TELLING.findall(words)), 3) / 3 + 0.15 * (1 - row / len(spans))
    chosen: list[int] = []
    while len(chosen) < min(most, len(spans)):
        repeated = similar[:, chosen].max(axis=1) if chosen else np.zeros(len(spans))
        gain = 0.65 * score - 0.35 * repeated
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
    return [Sentence(passages.words_of(spans[row], 420), passages.page_at(spans[row].start)) for row in sorted(chosen)]


def _terms(words: str) -> list[str]:
    return [word for word in _WORD.findall(words.lower()) if word not in _STOP]


def _worth(words: str) -> bool:
    """Whether a sentence can stand alone: neither a heading, nor a table row, nor a signature."""
    plain = words.strip()
    letters = sum(map(str.isalpha, plain))
    return (
        60 <= len(plain) <= 700
        and letters > 0.65 * len(plain)
        and plain[-1:] in ".;:"
        and not re.search(r"_{3,}|Signature\s*:|Date\s*:", plain)
        and len(_terms(plain)) >= 6
        and _DEFINITION.match(plain) is None
    )
