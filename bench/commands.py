"""What one workflow costs in commands: counted at the server, by MONITOR, while a few hundred run."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.cells import Cell, client_arguments
from bench.stack import ROOT, Stack, StackFailed
from coordination.scripts import all_scripts

IN_FLIGHT = 200
_LINE = re.compile(r'^\+?\d+\.\d+ \[\d+ ([^\]]*)\] "([^"]*)"(?: "([^"]*)")?')


@dataclass(frozen=True)
class Cost:
    """One command, for each workflow.

    Attributes:
        name: The command, or the script's name.
        calls: How often it is sent for one workflow, less what idle processes send.
        inside: Whether a script ran it.
    """

    name: str
    calls: float
    inside: bool


def count(stack: Stack) -> list[Cost]:
    """Count the commands of each workflow, without those that also come when nothing runs."""
    most = 1000
    _run(stack, IN_FLIGHT)  # the server gets to know the scripts
    with _Monitor(stack.socket_path) as monitor:
        idle_s = 3.0
        time.sleep(idle_s)
        idle, _ = monitor.take()
        began = time.monotonic()
        _run(stack, most)
        took_s = time.monotonic() - began
        time.sleep(0.2)
        busy, _ = monitor.take()
    found = []
    for (inside, name), calls in busy.items():
        each = (calls - idle[(inside, name)] / idle_s * took_s) / most
        if each >= 0.01:
            found.append(Cost(name, round(each, 2), inside))
    return sorted(found, key=lambda cost: (cost.inside, -cost.calls))


def _run(stack: Stack, most: int) -> None:
    arguments = client_arguments(stack, Cell("ganglion", IN_FLIGHT, ""), 0.0, 60.0)
    answer = subprocess.run(
        [*arguments[:3], "--most", str(most), *arguments[3:]], cwd=ROOT, env=stack.client_environ,
        capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip
    if answer.returncode:
        raise StackFailed(f"The commands could not be counted: {answer.stderr.strip().splitlines()[-1]}")


class _Monitor:
    """Counts what the server says it runs, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._link = socket.socket(socket.AF_UNIX)
        self._link.connect(str(path))
        self._names = {script.sha.decode(): name for name, script in all_scripts().items()}
        self._counts: Counter[tuple[bool, str]] = Counter()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, name="monitor", daemon=True)

    def __enter__(self) -> _Monitor:
        self._link.sendall(b"MONITOR\r\n")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._link.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._link.close()

    def take(self) -> tuple[Counter[tuple[bool, str]], int]:
        """What was counted since the last call."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts, sum(counts.values())

    def _read(self) -> None:
        with self._link.makefile("r", encoding="utf-8", errors="replace", newline="\r\n") as lines:
            for line in lines:
                found = _LINE.match(line)
                if found:
                    self._note(found[1], found[2].upper(), found[3] or "")

    def _note(self, client: str, command: str, argument: str) -> None:
        inside = client == "lua"
        if command == "EVALSHA":
            command = f"script {self._names.get(argument, 'of another program')}"
        with self._lock:
            self._counts[(inside, command)] += 1
