"""When a heart stops beating for a host whose event loop stands still."""

from __future__ import annotations

import pytest

from coordination.heart import Silence

pytestmark = pytest.mark.once


def _beats_given(interval_s: float, signs: list[float]) -> list[bool]:
    silence = Silence(interval_s)
    return [not silence.is_too_long(sign) for sign in signs]


def test_a_loop_that_stands_still_ends_the_beats_after_a_second() -> None:
    assert _beats_given(0.2, [7.1] * 8) == [True] * 5 + [False] * 3


def test_a_loop_that_goes_on_is_beaten_for_again() -> None:
    assert _beats_given(0.2, [7.1] * 7 + [8.5] * 2) == [True] * 5 + [False] * 2 + [True] * 2


def test_a_process_that_gets_no_time_is_not_taken_for_blocked() -> None:
    """The loop and the heart of a starved process are late together, however old its last sign is by then."""
    assert _beats_given(0.2, [7.1, 7.1, 9.3, 9.3, 9.3, 12.0]) == [True] * 6


def test_a_slow_heart_needs_one_beat_without_a_sign() -> None:
    assert _beats_given(5.0, [4.9, 4.9]) == [True, False]
