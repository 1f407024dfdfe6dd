"""Every acknowledgement that the outside world got: what the checker holds the system to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

Line = tuple[str, str, str]  # kind, id, what was acknowledged


class Record:
    """Appends each acknowledgement to a file.

    | kind | id | what |
    |---|---|---|
    | accepted | workflow | the outcome that it must have: ``completed 17`` or ``failed`` |
    | signal | workflow | signal id |
    | decision | escalation | decision id |

    Attributes:
        counts: How many of each kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: dict[str, int] = {}
        self._file = path.open("ab")

    def add(self, kind: str, identity: str, what: str) -> None:
        """Note one acknowledgement."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        line: Line = (kind, identity, what)
        self._file.write(msgspec.json.encode(line) + b"\n")

    def read(self) -> Iterator[Line]:
        """Every acknowledgement so far."""
        self._file.flush()
        decode = msgspec.json.Decoder(Line).decode
        with self.path.open("rb") as lines:
            for line in lines:
                yield decode(line)

    def close(self) -> None:
        """Write what is left."""
        self._file.close()


def completed(value: Any) -> str:
    """The outcome of a workflow that must give this value."""
    return f"completed {msgspec.json.encode(value).decode()}"


FAILED = "failed"
