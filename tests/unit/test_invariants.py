"""The eleven invariants: docs/reliability.md, the names in the code that keeps them, and their tests agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutation_list import INVARIANTS

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = range(1, 12)
PROMISES = (ROOT / "docs/reliability.md").read_text().split("## What is impossible")[0]
ROWS = {int(cells[0]): cells[1:] for cells in re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*?) \|$", PROMISES, re.M)}
TESTS = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}

pytestmark = pytest.mark.once


SHOWN = {
    number: {
        (file, name)
        for file, names in re.findall(r"`(test_\w+\.py)`: ((?:`test_\w+`(?:, )?)+)", cells[2])
        for name in re.findall(r"`(test_\w+)`", names)
    }
    for number, cells in ROWS.items()
}


def _named() -> dict[int, dict[str, str]]:
    """By number: the files that name an invariant, and what each says of it."""
    found: dict[int, dict[str, str]] = {}
    for folder in ("coordination", "agents", "dashboard"):
        for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.lua")]:
            for number, words in re.findall(r"^(?:-- )?Invariant (\d+): (.+)$", path.read_text(), re.MULTILINE):
                found.setdefault(int(number), {})[path.name] = words
    return found


NAMED = _named()


def test_there_are_eleven_in_the_document_and_in_the_code() -> None:
    assert list(ROWS) == sorted(NAMED) == list(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_code_that_keeps_an_invariant_names_it_in_the_documents_words(number: int) -> None:
    promise, keepers, _ = ROWS[number]
    assert set(NAMED[number].values()) == {promise[0].lower() + promise[1:]}
    assert set(NAMED[number]) == set(re.findall(r"`([\w-]+\.(?:lua|py))`", keepers))


@pytest.mark.parametrize("number", NUMBERS)
def test_every_invariant_is_shown_by_tests_that_exist(number: int) -> None:
    assert SHOWN[number]
    for file, name in SHOWN[number]:
        assert f"def {name}(" in TESTS[file].read_text(), f"{file} has no {name}"


@pytest.mark.parametrize("number", NUMBERS)
def test_every_invariant_has_keepers_that_can_be_taken_out_and_tests_of_its_row(number: int) -> None:
    own = [mutation for mutation in INVARIANTS if mutation.number == number]
    assert own
    for mutation in own:
        assert Path(mutation.path).name in NAMED[number]
        assert {
            (Path(file).name, name) for file, _, name in (test.partition("::") for test in mutation.tests)
        } <= SHOWN[number]
