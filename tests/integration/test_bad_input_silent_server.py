"""A server that accepts sockets and says nothing costs callers a bounded time, and they are told what is known."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from coordination import sync_client
from coordination.config import Config
from coordination.connection import Connection
from coordination.errors import OutcomeUnknown, ServerUnavailable
from coordination.sync_client import SyncClient
from tests import mirrored
from tests.servers import RedisServer


def test_writers_are_told_in_time(
    own_redis: RedisServer, tune: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_client, "WRITE_S", 0.5)
    monkeypatch.setattr(sync_client, "READ_S", 0.5)
    client = SyncClient(tune(redis_url=own_redis.url))
    given = mirrored.Word("hello")
    first = client.submit("mirrored_shout", given, key="first")
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="may or may not"):
            client.submit("mirrored_shout", given, key="second")
        with pytest.raises(ServerUnavailable, match="Nothing was sent"):
            client.submit("mirrored_shout", given, key="third")
        with pytest.raises(ServerUnavailable):
            client.get(first)
        assert time.monotonic() - began < 5
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)
    assert client.submit("mirrored_shout", given, key="second")
    assert client.submit("mirrored_shout", given, key="first") == first
    client.close()


async def test_connecting_ends_in_time(
    own_redis: RedisServer, tune: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.connection._CONNECT_S", 0.2)
    monkeypatch.setattr("coordination.connection._EXCHANGE_S", 0.5)
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(ServerUnavailable):
            await Connection.open(tune(redis_url=own_redis.url))
        assert time.monotonic() - began < 5
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)
