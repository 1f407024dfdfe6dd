"""Documents are stored once by their content, and read by reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordination import config as settings
from coordination import files
from coordination.errors import BadRequest, PayloadTooLarge


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GANGLION_HOME", str(tmp_path))
    monkeypatch.setenv("GANGLION_DOCUMENT_BYTES", "1000")
    settings.current.cache_clear()
    yield tmp_path
    settings.current.cache_clear()


def test_what_is_put_is_read(home: Path) -> None:
    ref = files.put(b"a lease", "lease.txt", "text/plain")
    assert files.read(ref) == b"a lease" and (ref.size, ref.media_type) == (7, "text/plain")


def test_the_same_content_is_stored_once(home: Path) -> None:
    one, two = files.put(b"x", "a.txt"), files.put(b"x", "b.txt")
    assert one.sha256 == two.sha256 and one.name != two.name
    assert len([path for path in home.rglob("*") if path.is_file()]) == 1


def test_empty_documents_can_be_stored() -> None:
    assert files.read(files.put(b"", "empty")) == b""


def test_a_document_that_is_too_large_is_refused_and_leaves_nothing(home: Path) -> None:
    with pytest.raises(PayloadTooLarge, match=r"big.pdf has 1,001 bytes; documents may have 1,000"):
        files.put(b"x" * 1001, "big.pdf")
    assert not list(home.rglob("*"))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, "g" * 64, "/" * 64, ""])
def test_a_reference_that_names_something_else_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="does not name"):
        files.read(files.FileRef(name, "x", 1))


def test_a_document_that_is_gone_says_where_it_was_looked_for(home: Path) -> None:
    with pytest.raises(BadRequest, match="share GANGLION_HOME"):
        files.read(files.FileRef("0" * 64, "lost.pdf", 1))


def test_a_folder_that_cannot_be_written_says_so(home: Path) -> None:
    (home / "files").write_text("in the way")
    with pytest.raises(BadRequest, match="could not be stored"):
        files.put(b"x", "a.txt")
