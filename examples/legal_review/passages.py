"""A document's text as sentences and quotes that know their page.

Offsets are the same in ``text`` and in ``flat``, where line and page breaks have become blanks, so
that a pattern may run across a line's end and its match can still be quoted with its page.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from examples.legal_review.shapes import Quote

_BREAKS = str.maketrans("\n\f\t", "   ")
_END = re.compile(r"[.!?][\"”’)]*\s+(?=[\"“‘(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Messrs|Mr|Mrs|Ms|Dr|Prof|St|No|Nos|Art|Arts|Sec|Cl|Inc|Ltd|Co|Corp|LLC|plc|vs?|cf|ca|approx|etc|e\.g|i\.e|"
    r"U\.S|U\.K|p|pp|para|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)|\b[A-Z]|(?:^|[\n\f])\s*\d{1,3}(?:\.\d{1,3}){0,3})$"
)
_CLAUSE = re.compile(
    r"[\n\f](?=(?:\d{1,3}(?:\.\d{1,3}){0,3}\.?|\([a-z0-9]{1,4}\)|[A-Z][A-Z ,&'-]{4,60}$|[•-])\s)", re.M
)
_HEADING = re.compile(r"^[^\n\f]{2,60}[^\s.,;:–-]\n(?=[\"“(]?[A-Z0-9])", re.M)
_GAP = re.compile(r"\n\s*\n|\f")


class Span(NamedTuple):
    """A stretch of the text."""

    start: int
    end: int


class Passages:
    """A text with its pages."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.flat = text.translate(_BREAKS)
        self._breaks = [match.start() for match in re.finditer("\f", text)]

    @property
    def pages(self) -> int:
        """How many pages the text has."""
        return len(self._breaks) + 1

    def page_at(self, offset: int) -> int:
        """The page, counted from 1, on which an offset lies."""
        return bisect.bisect_left(self._breaks, offset) + 1

    def words_of(self, span: Span, limit: int = 300) -> str:
        """A span's words on one line, cut at ``limit`` characters."""
        words = " ".join(self.flat[span.start : span.end].split())
        return words if len(words) <= limit else words[: limit - 1].rsplit(" ", 1)[0] + " …"

    def quote(self, start: int, end: int, limit: int = 300) -> Quote:
        """The sentence around a match, or as much of it as fits."""
        sentence = self.sentence_at(start)
        if sentence.end - sentence.start > limit:
            room = max((limit - (end - start)) // 2, 20)
            left = max(sentence.start, start - room)
            right = min(sentence.end, end + room)
            if left > sentence.start:
                left = self.flat.find(" ", left, start) + 1 or left
            if right < sentence.end:
                right = self.flat.rfind(" ", end, right) if self.flat.rfind(" ", end, right) > 0 else right
            words = self.words_of(Span(left, right), limit + 20)
            words = ("… " if left > sentence.start else "") + words + (" …" if right < sentence.end else "")
            return Quote(words.replace("… …", "…"), self.page_at(start))
        return Quote(self.words_of(Span(sentence.start, max(sentence.end, end)), limit), self.page_at(start))

    @cached_property
    def sentences(self) -> list[Span]:
        """Every sentence, in order. A new clause or page always begins a new one."""
        cuts = {0, len(self.flat)}
        cuts.update(match.end() for match in _CLAUSE.finditer(self.text))
        cuts.update(match.end() for match in _GAP.finditer(self.text))
        for match in _END.finditer(self.flat):
            before = self.text[max(0, match.start() - 12) : match.start()]
            if match.group()[0] != "." or not _ABBREVIATION.search(before):
                cuts.add(match.end())
        cuts.update(self._after_headings())
        ordered = sorted(cuts)
        return [Span(a, b) for a, b in itertools.pairwise(ordered) if self.flat[a:b].strip()]

    def _after_headings(self) -> Iterator[int]:
        """Where a line ends that is short, unpunctuated and followed by a new beginning."""
        for match in _HEADING.finditer(self.text):
            yield match.end()

    @cached_property
    def _starts(self) -> list[int]:
        return [span.start for span in self.sentences]

    def sentence_at(self, offset: int) -> Span:
        """The sentence in which an offset lies."""
        if not self.sentences:
            return Span(0, len(self.flat))
        return self.sentences[max(0, bisect.bisect_right(self._starts, offset) - 1)]

    def lines(self) -> Iterator[tuple[int, str]]:
        """Each line that holds something, with its offset."""
        for match in re.finditer(r"[^\n\f]+", self.text):
            if match.group().strip():
                yield match.start(), match.group().strip()


def without_running_lines(pages: list[str]) -> list[str]:
    """Pages without the headers, footers and page numbers that most of them share."""
    if len(pages) < 3:
        return pages
    seen: dict[str, int] = {}
    split = [page.split("\n") for page in pages]
    for lines in split:
        for line in {_mask(line) for line in (*lines[:2], *lines[-2:]) if line.strip()}:
            seen[line] = seen.get(line, 0) + 1
    running = {line for line, count in seen.items() if count >= max(3, 0.6 * len(pages)) and len(line) < 120}
    kept = []
    for lines in split:
        last = len(lines) - 2
        kept.append("\n".join(v for at, v in enumerate(lines) if not ((at < 2 or at >= last) and _mask(v) in running)))
    return kept


def _mask(line: str) -> str:
    return re.sub(r"\d+", "0", line.strip())
