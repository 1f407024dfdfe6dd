"""Lines of many processes on one terminal, each with its process's name in front."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TextIO

COLOURS = (36, 32, 35, 34, 33, 96, 92, 95, 94, 93)
WIDTH = 14


class Output:
    """Writes whole lines; with colours only to a terminal that wants them."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._colours: dict[str, int] = {}
        self._coloured = self._stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def line(self, name: str, text: str) -> None:
        """Write one line of a process."""
        prefix = f"{name:<{WIDTH}}│ "
        if self._coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self.plain(prefix + text)

    def plain(self, text: str) -> None:
        """Write a line of the supervisor's own."""
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            pass  # nobody reads any more; the processes still want to be stopped in order

    async def follow(self, name: str, reader: asyncio.StreamReader) -> str:
        """Write a process's lines as they come.

        Returns:
            The last line, which for a process that could not start says why.
        """
        rest, last = b"", ""
        while chunk := await reader.read(65_536):
            *lines, rest = (rest + chunk).split(b"\n")
            for raw in lines:
                text = raw.decode(errors="replace").rstrip()
                if text:
                    self.line(name, text)
                    last = text
        if rest:
            last = rest.decode(errors="replace").rstrip()
            self.line(name, last)
        return last
