"""docs/security.md names tests; each of them exists, in the file that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
FILES = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
NUMBERED = re.compile(r"^\| (\d+) \| (.*) \|$", re.MULTILINE)

pytestmark = pytest.mark.once


def _tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }  # those in classes too


def _named(text: str) -> list[tuple[str, str]]:
    """(file, test) as the page pairs them; a file alone has no test's name."""
    found, file = [], ""
    for word in re.findall(r"`(test_\w+(?:\.py)?)`", text):
        if word.endswith(".py"):
            file = word
            found.append((file, ""))
        else:
            found.append((file, word))
    return found


def test_every_item_has_a_row_with_a_test_or_a_reason() -> None:
    rows = dict(NUMBERED.findall(PAGE))
    assert list(rows) == [str(number) for number in range(1, len(rows) + 1)]
    assert len(rows) >= 25
    for number, row in rows.items():
        assert _named(row) or "does not apply" in row, number


def test_every_file_that_the_page_names_exists() -> None:
    missing = {file for file, _ in _named(PAGE) if file} - set(FILES)
    assert not missing


def test_every_test_that_a_row_names_is_in_the_file_that_it_names() -> None:
    wrong = []
    for number, row in NUMBERED.findall(PAGE):
        for file, name in _named(row):
            if name and (file not in FILES or name not in _tests(FILES[file])):
                wrong.append(f"{number}: {file} has no {name}")
    assert not wrong, wrong


def test_every_test_that_the_page_names_besides_exists() -> None:
    every = set().union(*(_tests(path) for path in FILES.values()))
    missing = {name for _, name in _named(PAGE) if name} - every
    assert not missing


def test_every_module_that_a_row_names_exists() -> None:
    rows = " ".join(row.split(" | ")[1] for _, row in NUMBERED.findall(PAGE))
    named = re.findall(r"`([\w/]+/[\w/]+\.(?:py|html))`", rows)
    assert named
    assert not [name for name in named if not (ROOT / name).exists() and not (ROOT / "templates" / name).exists()]
