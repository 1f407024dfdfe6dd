"""``redis+sentinel://`` addresses: what they say, and what is refused without showing a password."""

from __future__ import annotations

import pytest

from coordination.address import SentinelAddress, sentinel_address
from coordination.config import load
from coordination.errors import SettingsError

pytestmark = pytest.mark.once


def test_what_an_address_says() -> None:
    url = "redis+sentinel://web:p%40ss@a:1,b,[::1]:3/main/2?sentinel_user=watch&sentinel_password=s%2Fs"
    found = sentinel_address(url)
    assert found == SentinelAddress((("a", 1), ("b", 26_379), ("::1", 3)), "main", 2, "web", "p@ss", "watch", "s/s")
    assert found.primary_url("fe80::2", 7) == "redis://web:p%40ss@[fe80::2]:7/2"
    assert found.sentinel_urls()[2] == "redis://watch:s%2Fs@[::1]:3"
    assert sentinel_address("redis+sentinel://a/main").primary_url("h", 6_379) == "redis://h:6379/0"


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("a:1,b:2", "names no service"), ("a:x/main", "no host and port"), ("a,,b/main", "host is missing"),
        ("a/main/x", "no number"), ("a/main?sentinal_user=x", "unknown option 'sentinal_user'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_without_the_login(rest: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        load({"REDIS_URL": f"redis+sentinel://me:hushhush@{rest}"})
    assert "hushhush" not in str(caught.value) and "REDIS_URL" in str(caught.value)
