"""Which gap the marks of Redis and of the history show."""

from __future__ import annotations

import msgspec

from dashboard.relay_keeper import Mark, find_gap

REDIS = Mark(20, "run-1", {"events:0": 7, "events:1": 3}, before=20)


def _found(redis: Mark, **kept: object) -> str:
    gap = find_gap(redis, msgspec.structs.replace(REDIS, **kept))
    return gap.why if gap else ""


def test_nothing_is_missing_while_both_carry_the_same_mark() -> None:
    assert _found(REDIS) == ""
    assert _found(REDIS, added={"events:0": 5}) == ""


def test_a_relay_that_died_between_the_two_marks_leaves_no_gap() -> None:
    assert _found(msgspec.structs.replace(REDIS, at=30, before=20)) == ""


def test_each_loss_is_named() -> None:
    assert "Redis was emptied" in _found(msgspec.structs.replace(REDIS, at=0, before=0))
    assert "Redis was restored" in _found(REDIS, at=25)
    assert "the history was restored" in _found(REDIS, at=15)
    assert "the history was emptied" in _found(REDIS, at=0)
    assert "deleted" in _found(REDIS, added={"events:0": 9})
    assert "restarted" in _found(REDIS, server="run-0")


def test_only_what_was_lost_is_read_again() -> None:
    gap = find_gap(REDIS, msgspec.structs.replace(REDIS, added={"events:0": 9, "events:1": 3}))
    assert gap is not None
    assert gap.streams == {"events:0"}
    emptied = find_gap(msgspec.structs.replace(REDIS, at=0), REDIS)
    assert emptied is not None
    assert emptied.streams == set(REDIS.added)


def test_a_history_without_a_mark_closes_nothing_in_the_first_comparison() -> None:
    gap = find_gap(Mark(added=REDIS.added), Mark())
    assert gap is not None
    assert not gap.may_close
