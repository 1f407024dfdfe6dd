"""Processes that start: before their server, with a wrong setting, and with an application of one's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from coordination.config import Config
from tests.core_host import host_process
from tests.servers import RedisServer
from tests.stack import ROOT, environment, wait_until

PYTHON = Path(sys.executable).parent


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=environment(folder, **variables), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def own(config: Config, own_redis: RedisServer) -> Config:
    """Settings for a server that may be away."""
    return msgspec.structs.replace(config, redis_url=own_redis.url)


async def test_a_host_started_without_a_server_waits_for_it(own: Config, own_redis: RedisServer) -> None:
    own_redis.stop()
    async with host_process(own, "early", wait=False) as host:
        await asyncio.to_thread(wait_until, lambda: "waiting for Redis" in host.log, 15)
        assert host.code is None
        own_redis.start()
        await asyncio.to_thread(wait_until, lambda: "coordinator host is ready" in host.log, 15)
        assert host.log.count("waiting for Redis") == 1
        assert "REDIS_URL" in host.log


async def test_a_host_that_waits_for_a_server_can_be_stopped(own: Config, own_redis: RedisServer) -> None:
    own_redis.stop()
    async with host_process(own, "early", wait=False) as host:
        await asyncio.to_thread(wait_until, lambda: "waiting for Redis" in host.log, 15)
        host.send(15)
        assert await host.ended() == 0


@pytest.mark.once
@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "manage.py", "run_coordinator"],
        [sys.executable, "manage.py", "migrate"],
        [str(PYTHON / "uvicorn"), "config.asgi:application", "--port", "0"],
        [str(PYTHON / "celery"), "-A", "config.celery_app", "worker"],
    ],
)
@pytest.mark.parametrize(
    ("name", "value"),
    [("GANGLION_SHARDS", "many"), ("DATABASE_URL", "mysql://x/y"), ("GANGLION_EXTRA_APPS", "nowhere.apps.Nowhere")],
)
def test_a_wrong_setting_ends_any_process_with_one_line(
    tmp_path: Path, command: list[str], name: str, value: str
) -> None:
    done = run(tmp_path, *command, **{name: value})
    assert done.returncode == 2, done.stderr
    assert name in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GANGLION_SQL_WAIT_S", "x"),
        ("GANGLION_JOB_LOST_S", "-1"),
        ("GANGLION_LOG_LEVEL", "loud"),
        ("GANGLION_EXTRA_APPS", "os"),
    ],
)
def test_the_consoles_own_settings_are_checked_too(tmp_path: Path, name: str, value: str) -> None:
    done = run(tmp_path, sys.executable, "manage.py", "check", **{name: value})
    assert done.returncode == 2, done.stderr
    assert name in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.once
def test_other_settings_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "others.py").write_text("from config.settings import *\nLANGUAGE_CODE = 'de'\n")
    code = "from django.conf import settings; print(settings.SETTINGS_MODULE)"
    options = [f"--pythonpath={tmp_path}", "--settings=others"]
    done = run(tmp_path, sys.executable, "manage.py", "shell", "-v0", *options, "-c", code)
    assert done.stdout.strip() == "others", done.stderr


@pytest.mark.once
def test_an_application_of_ones_own_has_routes(tmp_path: Path) -> None:
    code = "from django.urls import reverse, resolve; print(reverse('core_app:seen', args=['w1']))"
    done = run(tmp_path, sys.executable, "manage.py", "shell", "-v0", "-c", code, GANGLION_EXTRA_APPS="tests.core_app")
    assert done.stdout.strip() == "/runs/core-app/w1/", done.stderr
