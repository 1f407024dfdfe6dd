"""A process of its own that notes what agents and hosts did, so that no kill of theirs loses a note.

A note is one line: event, key, number, pid, milliseconds.

| event | key | number | written by |
|---|---|---|---|
| start | idempotency key | attempt | an agent, before it works |
| effect | idempotency key | attempt | an agent, in place of an effect outside |
| write | workflow@seq | epoch | a host whose write was accepted: the last entry that it wrote |
| let | workflow@script | epoch | a host whose write without an entry was accepted; its time is when it was asked for |
| refused | workflow@script | epoch | a host whose write the server refused, because another epoch writes |
| ran | workflow@how | 0 | a run() that is about to block or to end its host |
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "GANGLION_CHAOS_LEDGER"
Row = tuple[str, str, int, int, int]
_PIPE_BYTES = 1 << 20  # a writer waits only when the ledger is so far behind
_sender: int | None = None


def write(event: str, key: str, number: int, at_ms: int = 0) -> None:
    """Note an event, of now unless a time is given; returns once it is with the ledger's process."""
    global _sender
    if _sender is None:
        _sender = os.open(os.environ[VARIABLE], os.O_WRONLY)
    os.write(_sender, f"{event} {key} {number} {os.getpid()} {at_ms or int(time.time() * 1000)}\n".encode())


def read(path: Path) -> Iterator[Row]:
    """Every note, in the order of arrival."""
    with path.open() as lines:
        for line in lines:
            event, key, number, pid, at_ms = line.split()
            yield event, key, int(number), int(pid), int(at_ms)


def main() -> None:
    """Carry what is written into a pipe to a file, until it is ended; a line goes into the pipe whole or not at all."""
    address, target = sys.argv[1:]
    os.mkfifo(address)
    pipe = os.open(address, os.O_RDWR)  # a writer of its own: the pipe never ends
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    with open(target, "ab", buffering=0) as file:
        while True:
            file.write(os.read(pipe, _PIPE_BYTES))


if __name__ == "__main__":
    main()
