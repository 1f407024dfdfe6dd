"""Each of the twenty-five bugs and eleven invariants has a test, and a guard that ``tests.mutations`` can take out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutation_list import BUGS, INVARIANTS, MUTATIONS, Mutation

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.once


@pytest.mark.parametrize("number", BUGS)
def test_every_bug_has_a_test_a_guard_and_a_row_in_the_document(number: int) -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests/integration").glob("test_bugs_*.py"))
    assert f"def test_bug_{number:02}_" in tests
    assert any(mutation.number == number for mutation in MUTATIONS)
    assert re.search(rf"^\| {number} \| {re.escape(BUGS[number])} \|", (ROOT / "docs/reliability.md").read_text(), re.M)


@pytest.mark.parametrize("mutation", MUTATIONS + INVARIANTS, ids=lambda mutation: f"{mutation.name} {mutation.words}")
def test_every_guard_stands_where_the_list_says(mutation: Mutation) -> None:
    text = (ROOT / mutation.path).read_text()
    assert text.count(mutation.guard) == 1, (
        f"the guard has changed: change tests/mutation_list.py too ({mutation.path})"
    )
    assert mutation.guard != mutation.without
