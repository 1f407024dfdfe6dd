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

_PLACE = re.compile(r"%\((\w+)\)s")


@functools.cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Each sentence as what it looks like once it is filled in; the most certain first."""
    made = []
    for sentence in sorted(SENTENCES, key=lambda one: -len(_PLACE.sub("", one))):
        parts = _PLACE.split(sentence)  # text, name, text, ...
        pattern = "".join(f"(?P<{part}>.+?)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
        made.append((re.compile(pattern, re.DOTALL), sentence))
    return made


def retold(text: str) -> str:
    """A sentence in the reader's language."""
    text = str(text)
    if not text or get_language() in (None, "en"):
        return text
    for pattern, sentence in _patterns():
        found = pattern.fullmatch(text)
        if found is not None:
            return str(gettext(sentence) % {name: retold(part) for name, part in found.groupdict().items()})
    return text
