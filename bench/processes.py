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
    (r"bench\.peers\.celery_app", "celery worker"),
)


@dataclass(frozen=True)
class Process:
    """One process of a stack."""

    pid: int
    name: str


def tree(root: int) -> list[Process]:
    """A process and everything it started that lives."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = _stat(int(folder.name))
            if fields is not None:
                parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found, left = [], [root]
    while left:
        pid = left.pop()
        found.append(Process(pid, _name(pid)))
        left += parents.get(pid, [])
    return sorted(found, key=lambda process: process.pid)


def cpu_ms_by_pid(pids: list[int]) -> dict[int, float]:
    """Processor time that each process which lives has used, user and system."""
    used = {}
    for pid in pids:
        fields = _stat(pid)
        if fields is not None:
            used[pid] = (int(fields[11]) + int(fields[12])) * _TICK_MS
    return used


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
