"""What travels between the steps, 300 bytes at a time."""

from __future__ import annotations

import msgspec

PAYLOAD_BYTES = 300


class Document(msgspec.Struct, frozen=True):
    """The input, and the result of a whole step."""

    text: str


class Finding(msgspec.Struct, frozen=True):
    """The result of one of the two steps that run side by side."""

    text: str


class Findings(msgspec.Struct, frozen=True):
    """Both of them."""

    facts: Finding
    issues: Finding


class Walk(msgspec.Struct, frozen=True):
    """How many steps a workflow takes one after another."""

    steps: int


def _filled(size: int) -> str:
    return ("the quick brown fox jumps over the lazy dog " * 8)[: size - len('{"text":""}')]


DOCUMENT = Document(_filled(PAYLOAD_BYTES))
FINDING = Finding(_filled(PAYLOAD_BYTES // 2))
