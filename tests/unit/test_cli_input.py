"""The command line's input, and that it starts without Django."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.cli import show
from dashboard.cli.app import value_of
from dashboard.cli.errors import CommandFailed, Exit


def test_values_come_inline_or_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text('{"a": 1}')
    assert value_of('{"a": 1}') == value_of(f"@{path}") == {"a": 1}
    assert value_of(None) is None
    with pytest.raises(CommandFailed, match="is no JSON"):
        value_of("{a}")
    with pytest.raises(CommandFailed, match="cannot be read: No such file"):
        value_of("@/nowhere")


def test_answers_become_exit_codes() -> None:
    def code(status: int) -> int:
        return CommandFailed.from_answer(status, {"message": "m"}).exit_code

    assert [code(status) for status in (202, 401, 403, 404, 409, 422, 429, 503)] == [7, 4, 4, 3, 5, 2, 8, 6]
    assert str(CommandFailed.from_answer(500, None)) == "The console answered with status 500."
    assert Exit.FAILED == 1


def test_spans_have_one_unit() -> None:
    assert [show.span(ms) for ms in (12, 3_400, 600_000, 90_000_000, None)] == ["12 ms", "3 s", "10 min", "25 h", ""]


def test_starting_imports_neither_django_nor_the_core() -> None:
    heavy = ("django", "coordination", "httpx", "redis")
    code = f"import sys, dashboard.cli.app; print([name for name in {heavy!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
