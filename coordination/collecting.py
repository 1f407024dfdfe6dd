"""How often a process that serves looks for garbage in cycles, of which its hot path makes none."""

from __future__ import annotations

import gc

_YOUNG = 20_000  # objects made between two looks; 700 by default, which takes a twentieth of a busy host's time


def collect_seldom() -> None:
    """Leave out what is imported, which stays, and look at the rest less often than usual."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
