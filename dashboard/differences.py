"""What changed between two JSON values, line by line, as people read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

AROUND = 2  # unchanged lines that are shown before and after a change
MOST = 4_000  # lines of a value that are compared
_CLOSELY = 100_000  # pairs of lines that are compared to find what moved: the time grows with more than their square


class Line(NamedTuple):
    """A line of the comparison."""

    kind: str  # same | old | new | gap
    text: str


def lines(old: Any, new: Any, hidden: Sequence[str] = (), more: int = 0) -> list[Line]:
    """The lines that went and came, with a few around them; nothing when the values are equal.

    Args:
        old: Without its secrets.
        new: The same.
        hidden: Where the new value has a secret that somebody gave, so that both look the same there.
        more: In how many further places.
    """
    changed = [Line("new", _("%(place)s: a secret that is given anew") % {"place": place}) for place in hidden]
    if more:
        words = ngettext("%(count)s more secret is given anew", "%(count)s more secrets are given anew", more)
        changed.append(Line("new", words % {"count": more}))
    return changed if old == new else [*_compared(_text(old), _text(new)), *changed]


def of_decision(given: Any, decided: Mapping[str, Any]) -> list[Line]:
    """What a decision changes of the input that was given, as it was written down without secrets."""
    return lines(given, decided.get("payload"), decided.get("hidden", ()), decided.get("hidden_more", 0))


def _compared(before: list[str], after: list[str]) -> list[Line]:
    found: list[Line] = []
    cut = max(len(before), len(after)) - MOST
    blocks = list(_blocks(before[:MOST], after[:MOST]))
    for place, (tag, first, end, first_new, end_new) in enumerate(blocks):
        if tag == "equal":
            kept = before[first:end]
            head = kept[:AROUND] if place else []
            tail = kept[-AROUND:] if place < len(blocks) - 1 else []
            if len(kept) <= len(head) + len(tail) + 1:
                found += [Line("same", text) for text in kept]
                continue
            found += [Line("same", text) for text in head]
            found.append(Line("gap", _same(len(kept) - len(head) - len(tail))))
            found += [Line("same", text) for text in tail]
            continue
        found += [Line("old", text) for text in before[first:end]]
        found += [Line("new", text) for text in after[first_new:end_new]]
    return [*found, Line("gap", _uncompared(cut))] if cut > 0 else found


def _blocks(before: list[str], after: list[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """What is equal and what is not, as ``SequenceMatcher`` says it, in a time that nobody notices."""
    head = _alike(zip(before, after, strict=False))
    tail = _alike(zip(reversed(before[head:]), reversed(after[head:]), strict=False))
    end, end_new = len(before) - tail, len(after) - tail
    if head:
        yield "equal", 0, head, 0, head
    if (end - head) * (end_new - head) <= _CLOSELY:
        matcher = SequenceMatcher(None, before[head:end], after[head:end_new], autojunk=False)
        for tag, *bounds in matcher.get_opcodes():
            first, last, first_new, last_new = (bound + head for bound in bounds)
            yield tag, first, last, first_new, last_new
    elif end == end_new:  # values were replaced, and none came or went
        for is_same, places in groupby(range(head, end), lambda place: before[place] == after[place]):
            first, *others = places
            last = first + len(others) + 1
            yield "equal" if is_same else "replace", first, last, first, last
    else:
        yield "replace", head, end, head, end_new
    if tail:
        yield "equal", end, len(before), end_new, len(after)


def _alike(pairs: Iterable[tuple[str, str]]) -> int:
    count = 0
    for old, new in pairs:
        if old != new:
            break
        count += 1
    return count


def _text(value: Any) -> list[str]:
    if value is None:
        return []
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2).decode().splitlines()


def _same(count: int) -> str:
    return ngettext("%(count)s line is the same", "%(count)s lines are the same", count) % {"count": count}


def _uncompared(count: int) -> str:
    words = ngettext("%(count)s more line is not compared", "%(count)s more lines are not compared", count)
    return words % {"count": count}
