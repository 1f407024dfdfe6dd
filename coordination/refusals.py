"""What a server says when it refuses a call that it would take at another time, in words for people.

A server that is full, cannot write its disk or is not the primary any more ran nothing of the call.
So new work is refused clearly, accepted work is kept and tried again, and all goes on by itself.

Invariant 9: when the server cannot write, new work is refused and accepted work waits.
"""

from __future__ import annotations

from coordination.errors import WriteRefused

OUT_OF_MEMORY = "OOM"
DEMOTED = frozenset(["READONLY", "UNBLOCKED", "MASTERDOWN"])  # the server at this address is no primary, or was none

_WORDS = {
    OUT_OF_MEMORY: "Redis has used up its memory and refuses writes until some workflows have finished and left, or"
    " until maxmemory is raised.",
    "MISCONF": "Redis cannot write to its disk and refuses writes until it can: look at the space on the disk and into"
    " the server's log.",
    "READONLY": "Redis at this address is a replica and refuses writes; its address is looked up again. Check that"
    " REDIS_URL leads to the primary.",
    "UNBLOCKED": "Redis at this address has become a replica; its address is looked up again.",
    "MASTERDOWN": "Redis at this address is a replica that has lost its primary, and refuses calls until it has found"
    " it: check the primary.",
    "NOREPLICAS": "Redis refuses writes because too few replicas follow it (min-replicas-to-write): start them, or"
    " check the network between them.",
    "LOADING": "Redis has started and is still loading its data.",
    "BUSY": "Redis is held up by a script that runs for too long: look for it in the server's slow log.",
}

_DELETED = "the stream key no longer exists"  # what Redis 7.0 tells a blocked reader, as newer servers say NOGROUP


def refusal(said: str) -> WriteRefused | None:
    """The refusal that a server's error text is; None when it is an error of another kind."""
    reason = said.partition(" ")[0]
    words = None if said.endswith(_DELETED) else _WORDS.get(reason)
    return WriteRefused(words, reason=reason) if words else None
