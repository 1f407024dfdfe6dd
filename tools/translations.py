"""Keeps the German catalogue in step with the words of templates and Python.

``python tools/translations.py`` adds what is new to locale/de/LC_MESSAGES/django.po with an empty translation, drops
what is gone, and writes the django.mo that the console reads. ``python tools/translations.py --check`` writes nothing
and says what is missing, empty, doubtful or at odds with its source. No gettext program is needed.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polib

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "locale" / "de" / "LC_MESSAGES" / "django.po"
_MACHINES = ("api", "cli", "management", "migrations")  # parts of dashboard/ that speak to programs
_SINGLE = {"_", "gettext", "gettext_lazy", "gettext_noop"}
_CALL = re.compile(r"\b(?:n?p?gettext|_)\(")
_PLACE = re.compile(r"%\(\w+\)[sd]|\{\w+\}|%%|</?\w+")


class Words(NamedTuple):
    """What is to be translated."""

    text: str
    many: str = ""
    context: str | None = None

    @property
    def key(self) -> tuple[str | None, str]:
        """What a catalogue knows them by."""
        return self.context, self.text


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def of_call(node: ast.AST) -> Words | None:
    """The words of a call of gettext or one of its kin."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return None
    texts = [_literal(one) or "" for one in node.args]
    if not texts or not texts[0]:
        return None
    match node.func.id:
        case "ngettext" | "ngettext_lazy":
            return Words(texts[0], texts[1])
        case "pgettext" | "pgettext_lazy":
            return Words(texts[1], context=texts[0])
        case "npgettext":
            return Words(texts[1], texts[2], texts[0])
        case name if name in _SINGLE:
            return Words(texts[0])
    return None


def of_python(source: str) -> Iterator[Words]:
    """The words of a module."""
    for node in ast.walk(ast.parse(source)):
        if (found := of_call(node)) is not None:
            yield found


def of_template(source: str) -> Iterator[Words]:
    """The words of a template, as Django itself finds them."""
    from django.utils.translation.template import templatize

    made = templatize(source)
    for found in _CALL.finditer(made):
        end = _end_of_call(made, found.end())
        call = ast.parse(made[found.start() : end].strip(), mode="eval").body
        if (words := of_call(call)) is not None:
            yield words


def _end_of_call(text: str, at: int) -> int:
    quote, depth = "", 1
    while depth:
        sign = text[at]
        if quote:
            at += sign == "\\"
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        else:
            depth += (sign == "(") - (sign == ")")
        at += 1
    return at


def pages() -> list[Path]:
    """The templates of the console and of the examples."""
    return sorted([*(ROOT / "templates").rglob("*.html"), *(ROOT / "examples").rglob("*.html")])


def sources() -> Iterator[tuple[Path, Iterator[Words]]]:
    """Every file that has words for people, with its words."""
    for path in pages():
        yield path, of_template(path.read_text())
    for path in sorted([*(ROOT / "dashboard").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]):
        if not set(path.relative_to(ROOT).parts) & set(_MACHINES):
            yield path, of_python(path.read_text())


@functools.cache
def wanted() -> dict[tuple[str | None, str], polib.POEntry]:
    """Every entry that the catalogue has to have, without translations."""
    found: dict[tuple[str | None, str], polib.POEntry] = {}
    for path, words in sources():
        name = str(path.relative_to(ROOT))
        for one in words:
            entry = found.setdefault(one.key, polib.POEntry(msgid=one.text, msgctxt=one.context))
            if one.many:
                entry.msgid_plural = one.many
            if (name, "") not in entry.occurrences:
                entry.occurrences.append((name, ""))
    return found


def _translations(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def faults() -> list[str]:
    """Everything that is wrong with the catalogue, in words; empty when nothing is."""
    catalogue = polib.pofile(str(CATALOGUE))
    known = {(entry.msgctxt, entry.msgid): entry for entry in catalogue if not entry.obsolete}
    needed = wanted()
    found = [
        f"not in the catalogue: {key[1]!r} of {needed[key].occurrences[0][0]}" for key in needed.keys() - known.keys()
    ]
    found += [f"used nowhere: {key[1]!r}" for key in known.keys() - needed.keys()]
    for key in known.keys() & needed.keys():
        entry = known[key]
        said = _translations(entry)
        if entry.msgid_plural != needed[key].msgid_plural:
            found.append(f"another plural: {key[1]!r}")
        elif not all(said) or (entry.msgid_plural and len(said) != 2):
            found.append(f"not translated: {key[1]!r}")
        elif entry.fuzzy:
            found.append(f"fuzzy: {key[1]!r}")
        else:
            found += [f"{fault}: {key[1]!r} as {one!r}" for one in said for fault in _differences(entry, one)]
    if CATALOGUE.with_suffix(".mo").read_bytes() != catalogue.to_binary():
        found.append("django.mo is not made from django.po: run python tools/translations.py.")
    return sorted(found)


def _differences(entry: polib.POEntry, said: str) -> Iterator[str]:
    """How a translation is at odds with its source: places, tags, the blanks around it, quotes that end attributes."""
    places = set(_PLACE.findall(said))
    forms = {frozenset(_PLACE.findall(text)) for text in (entry.msgid, entry.msgid_plural) if text}
    if places not in forms:
        yield "other places or tags"
    if (said[:1] == " ", said[-1:] == " ") != (entry.msgid[:1] == " ", entry.msgid[-1:] == " "):
        yield "other blanks around it"
    if '"' in said and '"' not in entry.msgid:
        yield "a quote that could end an attribute"


def update() -> int:
    """Bring the catalogue up to date and compile it; returns how many words still have no translation."""
    kept = {}
    if CATALOGUE.exists():
        kept = {(entry.msgctxt, entry.msgid): entry for entry in polib.pofile(str(CATALOGUE))}
    made = polib.POFile(wrapwidth=110)
    made.metadata = {
        "Project-Id-Version": "Ganglion",
        "Language": "de",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": "nplurals=2; plural=(n != 1);",
    }
    missing = 0
    for key, entry in wanted().items():
        before = kept.get(key)
        if entry.msgid_plural:
            same = before is not None and before.msgid_plural == entry.msgid_plural
            entry.msgstr_plural = before.msgstr_plural if same else {0: "", 1: ""}
        else:
            entry.msgstr = before.msgstr if before is not None else ""
        if before is not None:
            entry.flags, entry.tcomment = before.flags, before.tcomment
        missing += not all(_translations(entry))
        made.append(entry)
    CATALOGUE.parent.mkdir(parents=True, exist_ok=True)
    made.save(str(CATALOGUE))
    made.save_as_mofile(str(CATALOGUE.with_suffix(".mo")))
    return missing


if __name__ == "__main__":
    import django
    from django.conf import settings

    settings.configure(USE_I18N=True)
    django.setup()
    if "--check" in sys.argv[1:]:
        said = faults()
        print(*said, sep="\n")
        sys.exit(bool(said))
    print(f"{update()} words have no translation yet.")
