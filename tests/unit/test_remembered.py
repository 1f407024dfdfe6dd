"""What tags keep of what they made."""

from __future__ import annotations

from django.utils import translation

from dashboard import language
from dashboard.templatetags import console


def test_it_is_made_once_for_each_language_and_argument() -> None:
    made: list[tuple[str, str | None]] = []

    @language.remembered
    def said(words: str) -> str:
        made.append((words, translation.get_language()))
        return f"{words} {len(made)}"

    for _ in range(2):
        with translation.override("en"):
            assert (said("one"), said("two")) == ("one 1", "two 2")
        with translation.override("de"):
            assert said("one") == "one 3"
    assert made == [("one", "en"), ("two", "en"), ("one", "de")]


def test_a_state_is_said_in_the_readers_language() -> None:
    with translation.override("en"):
        english = console.state_chip("running")
    with translation.override("de"):
        german = console.state_chip("running")
    with translation.override("en"):
        assert console.state_chip("running") == english
    assert "Running" in english and "Running" not in german
