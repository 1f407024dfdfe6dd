"""Which workflows of a host are at work, so that a long queue is worked off in order and not all at once.

A host that took up whatever fits would let all of it advance side by side: nothing ends for a long time, everything
ends late, and a peer would have to take all of it over. So it takes up new workflows only while few are at work.
Those that wait, for people, time, signals or slow agents, are not.
"""

from __future__ import annotations

import time

LATELY_S = 5.0  # without a turn for so long a workflow waits for its agents; longer than turns are apart under load


class AtWork:
    """The workflows that made a turn lately and do not only wait, the one that has been still for longest first."""

    def __init__(self) -> None:
        self._turned: dict[str, float] = {}  # monotonic time of the last turn, s

    def moved(self, workflow_id: str) -> None:
        """A workflow makes a turn."""
        self._turned.pop(workflow_id, None)
        self._turned[workflow_id] = time.monotonic()

    def rests(self, workflow_id: str) -> None:
        """A workflow only waits now, or has left this host."""
        self._turned.pop(workflow_id, None)

    def count(self) -> int:
        """How many are at work; forgets those that made no turn for too long."""
        before = time.monotonic() - LATELY_S
        while self._turned:
            stillest = next(iter(self._turned))
            if self._turned[stillest] > before:
                break
            del self._turned[stillest]
        return len(self._turned)
