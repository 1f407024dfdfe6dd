"""What travels between the steps."""

from __future__ import annotations

import msgspec


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
