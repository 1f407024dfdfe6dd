"""What agents really ran, as they wrote it down themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

Step = tuple[str, str]  # workflow, step


@dataclass(frozen=True)
class Ledger:
    """The runs of every step.

    Attributes:
        ended: How often each step ran to its end.
        repeated: Steps that began again after they had run to their end.
        running: Steps under way, by the agent's process.
    """

    ended: Counter[Step] = field(default_factory=Counter)
    repeated: frozenset[Step] = frozenset()
    running: dict[int, set[Step]] = field(default_factory=dict)


def read(path: Path) -> Ledger:
    """The ledger as it stands; a line that is being written is left out."""
    ended: Counter[Step] = Counter()
    repeated: set[Step] = set()
    running: dict[int, set[Step]] = {}
    text = path.read_text() if path.exists() else ""
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            continue
        what, pid, workflow, step = line.split()
        here = running.setdefault(int(pid), set())
        if what == "ended":
            ended[workflow, step] += 1
            here.discard((workflow, step))
        else:
            here.add((workflow, step))
            if ended[workflow, step]:
                repeated.add((workflow, step))
    return Ledger(ended, frozenset(repeated), running)
