"""What changed between two JSON values, line by line, as people read it."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any, NamedTuple

import msgspec
from django.utils.translation import ngettext

AROUND = 2  # unchanged lines that are shown before and after a change
MOST = 4_000  # lines of a value that are compared


class Line(NamedTuple):
    """A line of the comparison."""

    kind: str  # same | old | new | gap
    text: str


def lines(old: Any, new: Any) -> list[Line]:
    """The lines that went and came, with a few around them; nothing when the values are equal."""
    if old == new:
        return []
    before, after = _text(old), _text(new)
    found: list[Line] = []
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
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
    return found


def _text(value: Any) -> list[str]:
    if value is None:
        return []
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2).decode().splitlines()[:MOST]


def _same(count: int) -> str:
    return ngettext("%(count)s line is the same", "%(count)s lines are the same", count) % {"count": count}
