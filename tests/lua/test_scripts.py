"""What holds for every script: its header, its keys, its size."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordination import scripts
from coordination.errors import GanglionError

FOLDER = Path(scripts.__file__).parent / "lua"
FILES = sorted(FOLDER.glob("[!_]*.lua"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_says_what_it_takes_and_gives(path: Path) -> None:
    text = path.read_text()
    header = text[: re.search(r"^(?!--)", text, re.MULTILINE).start()]  # type: ignore[union-attr]
    for part in ("KEYS:", "ARGV:", "Returns"):
        assert part in header
    count = int(path.stem.rpartition("-")[2])
    numbered = [int(number) for number in re.findall(r"(?:KEYS:|,|\n--  ) ?(\d) ", header.split("ARGV:")[0])]
    assert max(numbered or [1]) == count or count == 1
    assert len(text.splitlines()) <= 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_declares_every_key_it_touches(path: Path) -> None:
    text = path.read_text()
    used = {int(number) for number in re.findall(r"KEYS\[(\d+)\]", text)}
    count = int(path.stem.rpartition("-")[2])
    assert used <= set(range(1, count + 1))
    assert used == set(range(1, count + 1)) or "ipairs(KEYS)" in text or re.search(r"KEYS\[\w+\]", text)
    for name, first in re.findall(r"redis\.p?call\('(\w+)', ?([^,)]+)", text):
        if name == "XREADGROUP" or (name == "XGROUP" and "KEYS" in text):
            continue
        assert not first.startswith("'"), f"{name} on a key that is built inside"


def test_answers_are_the_same_in_both_languages() -> None:
    text = (FOLDER / "_answers.lua").read_text()
    names = re.search(r"local ([A-Z, ]+) = ([-\d, ]+)", text)
    assert names
    for name, value in zip(names[1].split(", "), names[2].split(", "), strict=True):
        assert getattr(scripts, name) == int(value)


def test_a_missing_script_is_named() -> None:
    with pytest.raises(GanglionError, match="'nothing' is missing"):
        scripts.get("nothing")
