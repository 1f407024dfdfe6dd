"""One ``redis+sentinel://`` address in the words of channels, cache and Celery."""

from __future__ import annotations

import pytest

from config import environment, sentinels

pytestmark = pytest.mark.once

URL = "redis+sentinel://web:p%40ss@a:1,b/main/2?sentinel_password=s"


def test_each_part_gets_all_sentinels_and_the_right_login() -> None:
    host = sentinels.channel_host(URL)
    assert (host["sentinels"], host["master_name"], host["db"]) == ([("a", 1), ("b", 26_379)], "main", 2)
    assert (host["username"], host["password"], host["sentinel_kwargs"]["password"]) == ("web", "p@ss", "s")
    assert environment.broker(URL) == "sentinel://web:p%40ss@a:1/2;sentinel://web:p%40ss@b:26379/2"
    options = sentinels.broker_options(URL)
    assert options["master_name"] == "main" and options["sentinel_kwargs"]["password"] == "s"
    pool = sentinels.Pool.from_url(URL, socket_timeout=1)
    assert pool.connection_kwargs["password"] == "p@ss" and pool.service_name == "main"


def test_other_addresses_stay_as_they_are() -> None:
    assert sentinels.channel_host("redis://h:1/2") == {"address": "redis://h:1/2"}
    assert sentinels.broker_options("redis://h:1/2") == {}
    assert environment.broker("redis://h:1/2") == "redis://h:1/2"
