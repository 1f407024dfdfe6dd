"""How far behind the relay is: written by relays into Redis, read by pages and probes."""

from __future__ import annotations

import time

import msgspec

from coordination import client as core
from coordination.config import current

STALE_MS = 15_000


class RelayLag(msgspec.Struct, omit_defaults=True):
    """The history's distance from Redis."""

    lag_ms: int = 0  # age of the oldest event that is not mirrored yet
    events: int = 0  # events that are not mirrored yet
    rows_per_s: float = 0.0  # workflows mirrored, over the last report
    at_ms: int = 0  # when a relay last reported; 0: never
    note: str = ""  # why it stands still, when it does

    @property
    def alive(self) -> bool:
        """Whether a relay has reported lately."""
        return self.at_ms > 0 and time.time() * 1000 - self.at_ms < STALE_MS


def key() -> str:
    """The Redis key that holds the report (a string, JSON)."""
    return f"{current().prefix}relay:lag"


def read_lag() -> RelayLag:
    """The last report.

    Raises:
        ServerUnavailable: Redis does not answer.
    """
    raw = core.sync().call("GET", key())
    return msgspec.json.decode(raw, type=RelayLag) if raw else RelayLag()
