"""Health words and capabilities."""

from __future__ import annotations

import pytest

from coordination.domain import AgentView
from coordination.registry import Registry, Status, health, is_capable

NOW = 1_000_000_000


@pytest.mark.parametrize(
    ("alive", "draining", "status", "word"),
    [
        (True, False, Status(), "idle"),
        (True, False, Status(load=1, moved_ms=NOW - 10), "works"),
        (True, True, Status(load=1, moved_ms=NOW - 10), "draining"),
        (True, True, Status(load=1, moved_ms=NOW - 61_000), "frozen"),
        (False, True, Status(load=1), "silent"),
        (True, False, Status(load=1, moved_ms=NOW - 61_000), "frozen"),
        (True, False, Status(load=0, moved_ms=NOW - 61_000), "idle"),
        (True, False, Status(load=1, moved_ms=NOW - 61_000, running=[{"limit_ms": 600_000}]), "works"),
        (True, False, Status(load=1, moved_ms=NOW - 1_201_000, running=[{"limit_ms": 600_000}]), "frozen"),
    ],
)
def test_health(alive: bool, draining: bool, status: Status, word: str) -> None:
    assert health(alive, draining, status, NOW, 60_000) == word


def test_capable() -> None:
    view = AgentView(
        "a", "a", True, "idle", ["extract", "other"], capabilities={"extract": {"kind": ["nda"], "language": ["*"]}}
    )
    assert is_capable(view, "extract", None)
    assert is_capable(view, "extract", {"kind": "nda", "language": "xx"})
    assert not is_capable(view, "extract", {"kind": "lease"})
    assert not is_capable(view, "extract", {"size": "big"})
    assert not is_capable(view, "other", {"kind": "nda"})
    assert not is_capable(view, "unknown", None)


def test_a_brief_absence_does_not_count_the_time_before_it() -> None:
    registry = Registry.__new__(Registry)
    registry.now_ms, registry._began_ms, registry._served_ms = 90_000, 10_000, {"extract": 89_000}

    assert registry.unserved_since_ms("extract") == 89_000
    assert registry.unserved_since_ms("extract", {"kind": "nda"}) == 10_000
    assert registry.unserved_since_ms("unknown") == 10_000


def test_who_has_not_looked_yet_says_nothing() -> None:
    registry = Registry.__new__(Registry)
    registry.now_ms, registry._began_ms, registry._served_ms = 90_000, 0, {}

    assert registry.unserved_since_ms("extract") > 90_000
