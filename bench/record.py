"""When each workflow began and ended, for judging a crash. Imports nothing that is not in the standard library."""

from __future__ import annotations

import json
import time
from pathlib import Path

BEGUN = "begun"


class Record:
    """When each workflow was submitted, and when its result was known, by the clock on the wall."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._times: dict[str, list[float | None]] = {}

    def begin(self, name: str) -> None:
        """It is submitted now; of the first, whoever reads along is told."""
        if self._path is not None:
            if not self._times:
                print(BEGUN, flush=True)
            self._times[name] = [time.time(), None]

    def end(self, name: str) -> None:
        """Its result is known now."""
        if self._path is not None:
            self._times[name][1] = time.time()

    def write(self) -> None:
        """Leave it for whoever evaluates it."""
        if self._path is not None:
            self._path.write_text(json.dumps(self._times))
