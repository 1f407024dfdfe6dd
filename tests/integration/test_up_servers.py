"""The servers that tests and ``bin/up`` start."""

from __future__ import annotations

import ctypes.util
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from config.up.processes import embedded_server
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


@pytest.mark.skipif(ctypes.util.find_library("jemalloc") is None, reason="this machine has no jemalloc")
def test_the_embedded_server_takes_its_memory_from_jemalloc() -> None:
    with servers.folder() as home:
        (home / "redis").mkdir()
        program = embedded_server(home, home / "redis.sock")
        process = subprocess.Popen(program.command, env={**os.environ, **program.extra}, stderr=subprocess.PIPE)
        try:
            while not (home / "redis.sock").exists() and process.poll() is None:
                time.sleep(0.02)
            assert "jemalloc" in Path(f"/proc/{process.pid}/maps").read_text()
        finally:
            process.terminate()
            _, said = process.communicate(timeout=30)
        assert said == b""
