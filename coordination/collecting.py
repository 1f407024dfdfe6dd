"""Memory of a process that serves: how much it has, and how often it looks for garbage.

Garbage in cycles is what is looked for, and its hot path makes none.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

_YOUNG = 20_000  # objects made between two looks; 700 by default, which takes a twentieth of a busy host's time


def collect_seldom() -> None:
    """Leave out what is imported, which stays, and look at the rest less often than usual."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)


def memory_bytes() -> int:
    """Resident memory of this process, 0 where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
