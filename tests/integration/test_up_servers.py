"""The servers that tests and ``bin/up`` start."""

from __future__ import annotations

import signal

from coordination.config import Config
from tests import servers


def test_a_server_keeps_its_data_over_a_kill(own_redis: servers.RedisServer) -> None:
    own_redis.ask("SET kept 1")
    assert own_redis.ask("CONFIG GET maxmemory-policy") == b"*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n"
    own_redis.stop(signal.SIGKILL)
    assert own_redis.ask("PING") is None
    own_redis.start()
    assert own_redis.ask("GET kept") == b"$1\r\n1\r\n"


def test_each_test_has_key_names_of_its_own(config: Config) -> None:
    assert config.prefix.endswith(":")
    assert len(config.prefix) > 10
