"""What pages say of their age."""

from __future__ import annotations

import pytest

from dashboard.freshness import late, redis_away, spelled
from dashboard.relay_status import RelayLag

NOW = RelayLag(at_ms=1)


def test_a_page_that_is_up_to_date_says_nothing() -> None:
    assert late(True, NOW) is None
    assert late(True, RelayLag(at_ms=1, silent_ms=1_500, lag_ms=900)) is None


@pytest.mark.parametrize(
    ("lag", "short", "words"),
    [
        (RelayLag(), "no relay runs", "No relay runs"),
        (RelayLag(at_ms=1, silent_ms=7_200, lag_ms=100), "data 7 s old", "stopped reporting"),
        (RelayLag(at_ms=1, lag_ms=90_000), "data 1 min old", "catches up"),
        (RelayLag(at_ms=1, lag_ms=9_000, note="the database is away"), "data 9 s old", "is away"),
        (RelayLag(at_ms=1, note="the history is being rebuilt"), "history is late", "being rebuilt"),
    ],
)  # fmt: skip
def test_a_page_that_is_behind_says_how_far_and_why(lag: RelayLag, short: str, words: str) -> None:
    found = late(True, lag)
    assert found is not None
    assert found.short == short
    assert words in found.words


def test_a_server_that_does_not_answer_comes_first() -> None:
    assert late(False, NOW) == redis_away()


def test_ages_in_words() -> None:
    assert [spelled(ms) for ms in (999, 59_999, 3_599_000, 7_200_000)] == ["0 s", "59 s", "59 min", "2 h"]
