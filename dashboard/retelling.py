"""Sentences that were written before their reader was known, told in the reader's language.

The core speaks English, and so does what is stored for everybody: the headline of an escalation, why a bulk
action has stopped, what the relay reports. ``dashboard.sentences`` holds them; one that is not among them is
shown as it was written.
"""

from __future__ import annotations

import functools
import re

from django.utils.translation import get_language, gettext

from dashboard.names import NAMES
from dashboard.sentences import HEADLINES, JOURNAL, SENTENCES, VERBS
from dashboard.wording import named, number

_PLACE = re.compile(r"%\((\w+)\)s")
_KINDS = {"headline": (*VERBS, *HEADLINES), "journal": JOURNAL, "": SENTENCES}
_NAMES = {  # what is one word, and what is one of a few
    **dict.fromkeys(("agent", "epoch", "host", "number", "pid", "previous", "step", "task", "type", "who"), r"\S+"),
    "count": "[0-9][0-9,]*",
    "status": "[0-9]+",
    "state": "|".join(re.escape(name.replace("_", " ")) + "|" + re.escape(name) for name in NAMES),
}


@functools.cache
def _patterns(kind: str) -> list[tuple[re.Pattern[str], str]]:
    """Each sentence as what it looks like once it is filled in; the most certain first."""
    made = []
    for sentence in sorted(_KINDS[kind], key=lambda one: -len(_PLACE.sub("", one))):
        parts = _PLACE.split(sentence)  # text, name, text, ...
        pattern = "".join(_place(part) if i % 2 else re.escape(part) for i, part in enumerate(parts))
        made.append((re.compile(pattern, re.DOTALL), sentence))
    return made


def _place(name: str) -> str:
    return f"(?P<{name}>{_NAMES.get(name, '.+?')})"


def _filled(name: str, part: str, kind: str) -> str:
    if name == "count":
        return number(int(part.replace(",", "")))
    return named(part.replace(" ", "_")) if name in ("state", "reason") else retold(part, kind)


def retold(text: str, kind: str = "") -> str:
    """A sentence in the reader's language.

    Args:
        kind: ``headline`` of an escalation or a bulk action, with the verb before it if there is one; a line of a
            ``journal``; anything else.
    """
    text = str(text)
    if not text or get_language() in (None, "en"):
        return text
    verb, between, rest = text.partition(": ")
    if kind == "headline" and between and verb in VERBS:
        return f"{gettext(verb)}: {retold(rest, kind)}"
    for pattern, sentence in _patterns(kind):
        found = pattern.fullmatch(text)
        if found is not None:
            return str(
                gettext(sentence) % {name: _filled(name, part, kind) for name, part in found.groupdict().items()}
            )
    return text
