"""Settings come from the environment, and a wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordination.config import Config, load
from coordination.errors import SettingsError


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    config = load({"GANGLION_HOME": str(tmp_path)})
    assert (config.max_retries, config.timeout_s, config.payload_bytes) == (3, 30.0, 1_048_576)
    assert config.redis_url == Config().redis_url


def test_each_field_is_one_variable() -> None:
    config = load(
        {"REDIS_URL": "rediss://h:1/2", "GANGLION_SHARDS": "16", "GANGLION_TIMEOUT_S": "2.5", "GANGLION_DEBUG": "yes",
         "GANGLION_HOME": "/nowhere", "GANGLION_PREFIX": "p:", "GANGLION_DURABILITY": "fsync"}
    )  # fmt: skip
    assert (config.redis_url, config.shards, config.timeout_s, config.debug) == ("rediss://h:1/2", 16, 2.5, True)
    assert (config.home, config.prefix, config.durability) == (Path("/nowhere"), "p:", "fsync")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GANGLION_SHARDS", "eight"), ("GANGLION_SHARDS", "0"), ("GANGLION_SHARDS", "-1"), ("GANGLION_TIMEOUT_S", "0"),
        ("GANGLION_TIMEOUT_S", "soon"), ("GANGLION_DURABILITY", "always"), ("GANGLION_DEBUG", "perhaps"),
        ("REDIS_URL", "http://h"), ("REDIS_URL", ""), ("GANGLION_PAYLOAD_BYTES", "1.5"), ("GANGLION_BACKLOG", "0"),
        ("GANGLION_HEARTBEAT_S", "0"), ("GANGLION_HEARTBEAT_S", "nan"), ("GANGLION_BACKOFF_S", "-1"),
        ("GANGLION_MEMORY_SHARE", "90"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load({name: value})


def test_the_embedded_server_of_this_home_is_found(tmp_path: Path) -> None:
    (tmp_path / "redis.sock").touch()
    assert load({"GANGLION_HOME": str(tmp_path)}).redis_url == f"unix://{tmp_path}/redis.sock"
    given = load({"GANGLION_HOME": str(tmp_path), "REDIS_URL": "redis://elsewhere"})
    assert given.redis_url == "redis://elsewhere"
