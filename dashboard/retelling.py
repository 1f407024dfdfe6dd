"""Sentences that were written before their reader was known, told in the reader's language.

The core speaks English, and so does what is stored for everybody: the headline of an escalation, why a bulk
action has stopped, what the relay reports. ``dashboard.sentences`` holds them; one that is not among them is
shown as it was written.
"""

from __future__ import annotations

import functools
import re

from django.utils.translation import get_language, gettext

from dashboard.sentences import SENTENCES
from dashboard.wording import named, number

_PLACE = re.compile(r"%\((\w+)\)s")


@functools.cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Each sentence as what it looks like once it is filled in; the most certain first."""
    made = []
    for sentence in sorted(SENTENCES, key=lambda one: -len(_PLACE.sub("", one))):
        parts = _PLACE.split(sentence)  # text, name, text, ...
        pattern = "".join(_place(part) if i % 2 else re.escape(part) for i, part in enumerate(parts))
        made.append((re.compile(pattern, re.DOTALL), sentence))
    return made


def _place(name: str) -> str:
    return rf"(?P<{name}>{'[0-9][0-9,]*' if name == 'count' else '.+?'})"


def _filled(name: str, part: str) -> str:
    if name == "count":
        return number(int(part.replace(",", "")))
    return named(part.replace(" ", "_")) if name in ("state", "reason") else retold(part)


def retold(text: str) -> str:
    """A sentence in the reader's language; of a verb with what it is about both are told."""
    text = str(text)
    if not text or get_language() in (None, "en"):
        return text
    verb, between, rest = text.partition(": ")
    if between and verb in SENTENCES:
        return f"{gettext(verb)}: {retold(rest)}"
    for pattern, sentence in _patterns():
        found = pattern.fullmatch(text)
        if found is not None:
            return str(gettext(sentence) % {name: _filled(name, part) for name, part in found.groupdict().items()})
    return text
