"""The German catalogue is whole, and no page says a word past it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import polib
import pytest
from django.utils import translation

from coordination.domain import ErrorInfo, EscalationSnapshot, EscalationState, Reason
from dashboard import rows, wording
from dashboard.retelling import retold
from dashboard.sentences import HEADLINES, JOURNAL, SENTENCES, VERBS
from dashboard.views.frame import script_words
from tools import translations

pytestmark = pytest.mark.once

# read by who builds the console, in debug only
UNTOLD = {"styleguide.html"}
SPOKEN = {"aria-label", "title", "placeholder", "alt", "data-confirm", "data-confirm-yes"}
UNSPOKEN = {"script", "style", "code", "pre", "kbd", "svg"}
# names, units and examples of what is typed: the same in every language
LITERAL = {"Ganglion", "JSON", "p95", "v", "s", "gang_", "UTC", "translator", "translate, detect_language"}
LITERAL |= {"language: de, fr", "approved", "auto", "SHA-256", "kg"}
_TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
_TOLD = re.compile(r"\{%\s*blocktranslate\b.*?\{%\s*endblocktranslate\s*%\}", re.DOTALL)
_STRING = re.compile(r"""(_\(|default:|default_if_none:)?(?:"([^"]*)"|'([^']*)')""")
_SAYING = ("{% chip ", "{% state_chip ", "{% sparkline ", "{% bar ")  # tags whose arguments are shown


class Scanner(HTMLParser):
    """Collects what a reader would read of a template: text, and the attributes that are read out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.within: list[str] = []

    def say(self, text: str) -> None:
        for part in text.split("\0"):
            plain = part.strip(" \n\t·–…“”„:;,.()/+×%")
            if re.search(r"[A-Za-z]", plain) and plain not in LITERAL:
                self.found.append(plain)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNSPOKEN:
            self.within.append(tag)
        for name, value in attrs:
            if name in SPOKEN and value and "@" not in value and "://" not in value and value[:1] != "{":
                self.say(value)

    def handle_endtag(self, tag: str) -> None:
        if self.within and self.within[-1] == tag:
            self.within.pop()

    def handle_data(self, data: str) -> None:
        if not self.within:
            self.say(data)


def bare(source: str) -> Iterator[str]:
    """Words of a template that are in no tag of translation."""
    source = _TOLD.sub(" \0 ", source)
    for tag in _TAG.findall(source):
        for before, one, other in _STRING.findall(tag):
            text = one or other
            shown = before.startswith("default") or (tag.startswith(_SAYING) and (" " in text or text[:1].isupper()))
            if shown and before != "_(" and text not in LITERAL and re.search("[A-Za-z]", text):
                yield text
    scanner = Scanner()
    scanner.feed(_TAG.sub(" \0 ", source))
    scanner.close()
    yield from scanner.found


@pytest.mark.parametrize("path", translations.pages(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_page_says_nothing_past_the_catalogue(path: Path) -> None:
    if path.name not in UNTOLD:
        assert list(bare(path.read_text())) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Some words</p>", ["Some words"]),
        ('<input placeholder="Your name">', ["Your name"]),
        ('{% chip "done" "check" "All done" %}', ["All done"]),
        ('{{ name|default:"nobody" }}', ["nobody"]),
        ('<p>{% translate "Some words" %} {% blocktranslate %}more <b>words</b>{% endblocktranslate %}</p>', []),
        ('{% chip "done" "check" _("All done") %}<code>manage.py</code>', []),
    ],
)  # fmt: skip
def test_the_scan_finds_what_is_not_translated(source: str, found: list[str]) -> None:
    assert list(bare(source)) == found


def test_the_catalogue_is_whole() -> None:
    assert translations.faults() == []


@pytest.mark.parametrize(
    ("german", "fault"),
    [
        ("", "not translated"),
        ("Aufgabe %(nummer)s", "other places or tags"),
        ('Aufgabe "%(number)s"', "a quote"),
    ],
)
def test_a_catalogue_with_a_fault_is_told(
    german: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = polib.pofile(str(translations.CATALOGUE))
    entry = catalogue.find("attempt %(number)s")
    assert entry is not None
    entry.msgstr = german
    catalogue.save(str(tmp_path / "django.po"))
    catalogue.save_as_mofile(str(tmp_path / "django.mo"))
    monkeypatch.setattr(translations, "CATALOGUE", tmp_path / "django.po")
    found = translations.faults()
    assert len(found) == 1 and found[0].startswith(fault)


def test_a_catalogue_that_is_not_compiled_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = polib.pofile(str(translations.CATALOGUE))
    catalogue.save(str(tmp_path / "django.po"))
    catalogue[0].msgstr += "!"
    catalogue.save_as_mofile(str(tmp_path / "django.mo"))
    monkeypatch.setattr(translations, "CATALOGUE", tmp_path / "django.po")
    assert translations.faults() == ["django.mo is not made from django.po: run python tools/translations.py."]


def test_scripts_say_the_words_of_their_page_and_no_others() -> None:
    source = "\n".join(path.read_text() for path in sorted((translations.ROOT / "static" / "console").glob("*.js")))
    known = set(script_words())
    assert set(re.findall(r"\bword\(\"(\w+)\"", source)) <= known
    assert [name for name in known if not re.search(rf"[\".]{name}\b", source)] == []
    said = r"(?:textContent|innerText|title|placeholder|ariaLabel|alert\() ?[=(] ?(?:\"[^\"]*[a-z]{3}|`[^`$]*[a-z]{3})"
    assert re.findall(said, source) == []


def test_what_is_stored_in_english_is_told_in_the_readers_language() -> None:
    said = "extract failed 3 times: timeout after 5 s"
    assert retold(said, "headline") == said
    with translation.override("de"):
        assert retold(said, "headline") == "extract scheiterte 3-mal: timeout after 5 s"
        assert retold("4 escalations of legal_review", "headline") == "4 Eskalationen von legal_review"
        assert (
            retold("Retry: No capable agent for extract", "headline") == "Wiederholen: Kein fähiger Agent für extract"
        )
        assert (
            retold("Skip 1,200 escalations: 1,200 escalations of parse", "headline")
            == "Überspringen, 1.200 Eskalationen: 1.200 Eskalationen von parse"
        )
        assert retold("vera asked to cancel: too late", "journal") == "vera forderte den Abbruch an: too late"
        assert retold("Workflow wf-1 has already ended.") == "Workflow wf-1 ist bereits beendet."
        assert retold("already needs_human") == "bereits wartet auf einen Menschen"


@pytest.mark.parametrize("kind", ["", "headline", "journal"])
@pytest.mark.parametrize("said", ["the build failed", "extract: connection failed", "it is what we wanted", "a: b: c"])
def test_what_an_agent_says_is_left_as_it_is(said: str, kind: str) -> None:
    with translation.override("de"):
        assert retold(said, kind) == said


@pytest.mark.parametrize("reason", list(Reason))
def test_each_headline_that_is_made_is_known(reason: Reason) -> None:
    made = EscalationSnapshot(
        id="e", workflow_id="w", workflow_type="legal_review", step="2", task_type="extract", reason=reason,
        state=EscalationState.OPEN, attempts=1,
    )  # fmt: skip
    errors = [ErrorInfo("Timeout", "too late")]
    for one in (made, msgspec.structs.replace(made, attempts=4), msgspec.structs.replace(made, errors=errors)):
        with translation.override("de"):
            said = rows.headline(one)
            assert retold(said, "headline") != said or said == "extract: too late"


@pytest.mark.parametrize("kind", ["", "headline", "journal"])
def test_no_sentence_takes_the_words_of_another(kind: str) -> None:
    """Filled in with plain words, each sentence is told as itself."""
    with translation.override("de"):
        for sentence in {"": SENTENCES, "headline": (*VERBS, *HEADLINES), "journal": JOURNAL}[kind]:
            names = re.findall(r"%\((\w+)\)s", sentence)
            filled = {name: "paused" if name == "state" else str(number) for number, name in enumerate(names)}
            told = {name: "angehalten" if name == "state" else text for name, text in filled.items()}
            assert retold(sentence % filled, kind) == translation.gettext(sentence) % told


def test_numbers_and_states_follow_the_language() -> None:
    assert (wording.number(12_040), wording.duration(1_250), wording.look("failed").words) == (
        "12,040", "1.2 s", "Failed",
    )  # fmt: skip
    with translation.override("de"):
        assert (wording.number(12_040), wording.duration(1_250), wording.look("failed").words) == (
            "12.040", "1,2 s", "Gescheitert",
        )  # fmt: skip
        assert [wording.counted(count, "workflow") for count in (1, 2)] == ["1 Workflow", "2 Workflows"]
        assert wording.counted(2, "step") == "2 Schritte"
