"""Reading a feed line by line, so that a broken line loses no other.

A feed is a text file with one row a line. It may mix encodings, because it is what several
carriers sent, one after the other: a line is read as UTF-8 when it is valid UTF-8, otherwise in
its carrier's own encoding. Empty lines and lines that begin with ``#`` are no rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from examples.shipments.carriers import CARRIERS, code_of
from examples.shipments.updates import Row

LINE_BYTES = 4_000  # a longer line is cut, and then fails as a broken row
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r\f")
_BOM = b"\xef\xbb\xbf"
_KINDS = (
    (b"PK\x03\x04", "a workbook or an archive"),
    (b"%PDF", "a PDF"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"\x1f\x8b", "a compressed file"),
    (b"\xd0\xcf\x11\xe0", "a workbook"),
)


def complaint(data: bytes) -> str:
    """Why these bytes cannot be a feed, in words, or "" when they can."""
    if not data.strip():
        return "The feed is empty. Choose a file with one row a line."
    for start, kind in _KINDS:
        if data.startswith(start):
            return f"This is {kind}, not a CSV file. Export it as CSV, in UTF-8 or as the carrier sends it."
    start = data[:65_536]
    if len(start.translate(None, _CONTROLS)) < 0.97 * len(start):  # a few stray ones make no text a binary file
        return "This is no text, and so no CSV file. Export it as CSV, in UTF-8 or as the carrier sends it."
    if next(rows(data, "check"), None) is None:
        return "The feed has no rows: all its lines are empty or begin with #."
    return ""


def rows(data: bytes, feed: str, offset: int = 0, line: int = 0) -> Iterator[Row]:
    """The rows from an offset on, which is the begin of the line after ``line``."""
    for row, _ in rows_with_ends(data, feed, offset, line):
        yield row


def rows_with_ends(data: bytes, feed: str, offset: int, line: int) -> Iterator[tuple[Row, int]]:
    """The rows from an offset on, each with the offset behind it."""
    while offset < len(data):
        end = data.find(b"\n", offset)
        end = len(data) if end < 0 else end
        raw = data[offset:end].rstrip(b"\r")
        raw = raw.removeprefix(_BOM) if offset == 0 else raw
        offset = end + 1
        line += 1
        if raw.strip() and not raw.startswith(b"#"):
            yield Row(feed=feed, line=line, text=_decode(raw[:LINE_BYTES])), offset


def count(data: bytes) -> int:
    """How many rows a feed has."""
    return sum(1 for raw in data.removeprefix(_BOM).split(b"\n") if raw.strip() and not raw.startswith(b"#"))


def _decode(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        carrier = CARRIERS.get(code_of(raw.decode("ascii", "replace")).upper())
        text = raw.decode(carrier.encoding if carrier else "utf-8", "replace")
    return text.replace("\0", "\N{SYMBOL FOR NULL}")
