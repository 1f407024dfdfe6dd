"""Delays between attempts: growing, bounded, jittered, and the same wherever they are computed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.backoff import backoff_ms

pytestmark = pytest.mark.once

names = st.text(min_size=1, max_size=20)


@given(names, names, st.integers(1, 200), st.floats(0.001, 100), st.floats(0.001, 1000))
def test_a_delay_stays_within_its_bounds(workflow: str, step: str, number: int, base_s: float, most_s: float) -> None:
    plain_s = min(base_s * 2 ** (number - 1), most_s)
    assert int(plain_s * 750) <= backoff_ms(workflow, step, number, base_s, most_s) <= int(plain_s * 1250) + 1


@given(names, names, st.integers(1, 30))
def test_a_delay_is_the_same_on_every_host(workflow: str, step: str, number: int) -> None:
    assert backoff_ms(workflow, step, number, 1, 60) == backoff_ms(workflow, step, number, 1, 60)


@given(names, names)
def test_delays_double_until_the_cap(workflow: str, step: str) -> None:
    delays = [backoff_ms(workflow, step, number, 1.0, 60.0) for number in range(1, 12)]
    assert all(later > earlier for earlier, later in itertools.pairwise(delays[:6]))
    assert max(delays) <= 75_000


def test_workflows_do_not_come_back_all_at_once() -> None:
    delays = {backoff_ms(f"w{number}", "1", 1, 1.0, 60.0) for number in range(200)}
    assert len(delays) > 100
