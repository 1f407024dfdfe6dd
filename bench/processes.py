"""What processes use, as ``/proc`` tells it. Imports nothing that is not in the standard library."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_NAMES = (
    (r"valkey-server|redis-server", "server"),
    (r"--name (\S+)", ""),
    (r"run_relay", "relay"),
    (r"config\.web", "web"),
    (r"config\.jobs", "jobs"),
    (r"config\.up", "supervisor"),
    (r"bench\.central\b", "central brain"),
    (r"bench\.peers\.\w+\.app|multiprocessing[.-]", "worker"),
    (r"^postgres:|/postgres ", "server"),
    (r"restate-server", "server"),
    (r"temporal server", "server"),
)


@dataclass(frozen=True)
class Process:
    """One process of a stack."""

    pid: int
    name: str


def tree(root: int) -> list[Process]:
    """A process and everything it started that lives."""
    parents: dict[int, list[int]] = {}
    for pid, fields in _living().items():
        parents.setdefault(int(fields[1]), []).append(pid)
    found, left = [], [root]
    while left:
        pid = left.pop()
        found.append(Process(pid, _name(pid)))
        left += parents.get(pid, [])
    return sorted(found, key=lambda process: process.pid)


def cpu_ms_by_pid(pids: list[int]) -> dict[int, float]:
    """Processor time, user and system, that each process which lives has used.

    What it has started counts as its own, whether it lives (unless it is in the list itself) or has ended: servers
    that fork a process for each connection keep none of their time to themselves.
    """
    living = _living()
    used: dict[int, float] = {}
    for pid, fields in living.items():
        root = pid
        while root not in pids and root in living:
            root = int(living[root][1])
        if root in living:
            used[root] = used.get(root, 0.0) + sum(int(ticks) for ticks in fields[11:15]) * _TICK_MS
    return used


def _living() -> dict[int, list[str]]:
    """The fields of every process that lives."""
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return {pid: fields for pid in pids if (fields := _stat(pid)) is not None}


def rss_bytes(pid: int) -> int:
    """Resident memory of a process, 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _stat(pid: int) -> list[str] | None:
    """The fields behind the command's name: state, parent, …; None when it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _name(pid: int) -> str:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "ended"
    for pattern, name in _NAMES:
        found = re.search(pattern, raw)
        if found:
            return name or found[1]
    return Path(raw.split(" ", 1)[0]).name or "process"
