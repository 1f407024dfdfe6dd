"""What every test may ask for: a real server, and settings with key names that no other test uses."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordination import config as coordination_config
from coordination.config import Config
from tests import servers


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A running server: the one this run was started with, else the embedded one on the socket of tests/settings."""
    url = os.environ["REDIS_URL"]
    if os.environ.get("GANGLION_TEST_REDIS_URL"):
        yield url
        return
    path = Path(url.removeprefix("unix://"))
    running = servers.RedisServer(path.parent / "redis", path=path).start()
    yield url
    running.stop()


@pytest.fixture
def config(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """This test's own settings: a key prefix and a home folder nobody else uses, also for processes it starts."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("GANGLION_PREFIX", f"t{uuid.uuid4().hex[:10]}:")
    monkeypatch.setenv("GANGLION_HOME", str(tmp_path / "home"))
    coordination_config.current.cache_clear()
    yield coordination_config.current()
    coordination_config.current.cache_clear()
    for thread in threading.enumerate():  # a decision of this test that would be sent minutes later, within another
        if isinstance(thread, threading.Timer):
            thread.cancel()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[servers.RedisServer]:
    """A server of this test's own, on a loopback port, that may be stopped, killed or filled."""
    with servers.redis_server() as running:
        yield running


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The test database; its audit log may be emptied between tests (what forbids that has a test of its own)."""
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER IF EXISTS dashboard_audit_no_delete")
        connection.close()
