"""A process of its own that notes every start of a handler, so that no kill of an agent loses a note."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

VARIABLE = "GANGLION_CHAOS_LEDGER"
_sender: socket.socket | None = None


def write(event: str, key: str, attempt: int, pid: int) -> None:
    """Note an event; returns once it is with the ledger's process."""
    global _sender
    if _sender is None:
        _sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        _sender.connect(os.environ[VARIABLE])
    _sender.send(f"{event} {key} {attempt} {pid} {int(time.time() * 1000)}\n".encode())


def read(path: Path) -> list[tuple[str, str, int, int, int]]:
    """Every note: event, key, attempt, pid, ms."""
    notes = []
    for line in path.read_text().splitlines():
        event, key, attempt, pid, at_ms = line.split()
        notes.append((event, key, int(attempt), int(pid), int(at_ms)))
    return notes


def main() -> None:
    """Receive on a socket, append to a file, until SIGTERM."""
    address, target = sys.argv[1:]
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    receiver.bind(address)
    signal.signal(signal.SIGTERM, lambda *_: receiver.close())
    with open(target, "ab", buffering=0) as file:
        while True:
            try:
                file.write(receiver.recv(4096))
            except OSError:
                return


if __name__ == "__main__":
    main()
