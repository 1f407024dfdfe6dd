"""The relay when its servers are away: it waits, says so once, loses nothing, and goes on by itself."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from django.db import connection

from coordination.config import Config
from coordination.domain import WorkflowSnapshot, WorkflowState
from dashboard import mirror
from dashboard.models import Workflow
from tests import mirrored
from tests.mirrored import Word, sql, until
from tests.servers import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)


async def test_redis_dies_and_comes_back(
    config: Config, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    own = msgspec.structs.replace(config, redis_url=own_redis.url)
    caplog.set_level(logging.INFO, "ganglion.relay")
    async with mirrored.client(own) as client, mirrored.relay(own):
        first = await client.submit("mirrored_wait", Word("x"))
        await until(lambda: Workflow.objects.filter(pk=first).exists())
        await asyncio.to_thread(own_redis.kill)
        await until(lambda: any("waiting for Redis" in line for line in caplog.messages), "the outage is noticed")
        await asyncio.to_thread(own_redis.start)
        async with mirrored.client(own) as again:
            second = await again.submit("mirrored_wait", Word("x"))
        await until(lambda: Workflow.objects.filter(pk=second).exists())
        await until(lambda: any("mirroring again" in line for line in caplog.messages))
    assert sum("waiting for Redis" in line for line in caplog.messages) == 1


async def test_a_locked_or_missing_database_only_delays(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ganglion.relay")
    table = Workflow._meta.db_table

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    async with mirrored.client(config) as client, mirrored.relay(config):
        first = await client.submit("mirrored_wait", Word("x"))
        await until(lambda: Workflow.objects.filter(pk=first).exists())
        if connection.vendor == "sqlite":
            locked, release = asyncio.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()

            def hold() -> None:
                import sqlite3

                raw = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
                raw.execute("BEGIN EXCLUSIVE")
                loop.call_soon_threadsafe(locked.set)
                asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
                raw.execute("ROLLBACK")
                raw.close()

            holder = asyncio.create_task(asyncio.to_thread(hold))
            await locked.wait()
            second = await client.submit("mirrored_wait", Word("y"))
            await asyncio.sleep(0.5)
            release.set()
            await holder
        else:
            await sql(rename, table, "away")
            second = await client.submit("mirrored_wait", Word("y"))
            await until(lambda: any("one by one" in line or "waiting" in line for line in caplog.messages))
            await sql(rename, "away", table)
            third = await client.submit("mirrored_wait", Word("y"))
            await until(lambda: Workflow.objects.filter(pk=third).exists())
            return
        await until(lambda: Workflow.objects.filter(pk=second).exists())


@pytest.mark.parametrize("is_made", [True, False])
async def test_one_row_that_does_not_fit_does_not_hold_up_the_others(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_made: bool
) -> None:
    from dashboard import rows

    made = rows.workflow_values

    def spoilt(snapshot: WorkflowSnapshot, now: dt.datetime, **known: bool) -> dict[str, object]:
        if snapshot.id == "spoilt" and not is_made:
            raise ValueError("year 60000 is out of range")
        values = made(snapshot, now, **known)
        return {**values, "type": None} if snapshot.id == "spoilt" else values

    monkeypatch.setattr(mirror, "workflow_values", spoilt)
    async with mirrored.client(config) as client:
        for name in ("good-1", "spoilt", "good-2"):
            await client.submit("mirrored_wait", Word("x"), workflow_id=name)
        async with mirrored.relay(config):
            await until(lambda: Workflow.objects.filter(pk__in=["good-1", "good-2"]).count() == 2)
    assert any("spoilt stays out of the history" in line for line in caplog.messages)


@pytest.mark.once
def test_it_stops_at_once_and_says_what_is_wrong_with_settings(config: Config, tmp_path: Path) -> None:
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    environ["DATABASE_URL"] = f"sqlite:///{tmp_path}/history.sqlite3"
    command = [sys.executable, "manage.py"]
    subprocess.run([*command, "migrate", "-v0"], env=environ, check=True)
    ready, notify = os.pipe()
    running = subprocess.Popen(
        [*command, "run_relay"], env={**environ, "GANGLION_READY_FD": str(notify)}, pass_fds=[notify]
    )
    os.close(notify)
    assert os.read(ready, 1) == b"1"
    os.close(ready)
    running.send_signal(signal.SIGTERM)
    assert running.wait(15) == 0

    wrong = {**environ, "GANGLION_SHARDS": "none"}
    ran = subprocess.run([*command, "run_relay"], env=wrong, capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert "GANGLION_SHARDS='none'" in ran.stderr


async def test_one_object_that_cannot_be_read_does_not_hold_up_the_others(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    async with mirrored.client(config) as client:
        for name in ("good-1", "spoilt", "good-2"):
            await client.submit("mirrored_wait", Word("x"), workflow_id=name)
        keys, call = client.connection.keys, client.connection.call
        await call("HSET", keys.escalation("spoilt~1"), "state", "open", "version", "nonsense")
        event = ("w", "spoilt", "k", "escalated", "q", 0, "x", "spoilt~1", "t", 0)
        await call("XADD", keys.events(keys.shard("spoilt")), "*", *event)
        with caplog.at_level("INFO", "ganglion.relay"):
            async with mirrored.relay(config):
                await until(lambda: Workflow.objects.filter(pk__in=["good-1", "good-2"]).count() == 2)
                await until(lambda: any("the gap is closed" in line for line in caplog.messages))
        events = [client.connection.keys.events(shard) for shard in range(config.shards)]
        assert sum([await client.connection.call("XLEN", stream) for stream in events]) == 0
    assert any("spoilt~1 stays out of the history" in line for line in caplog.messages)


def test_rows_of_a_batch_are_stored_together_or_not_at_all(config: Config) -> None:
    fine = WorkflowSnapshot(id="fine", type="t", version=1, state=WorkflowState.RUNNING, created_ms=1)
    with pytest.raises(AttributeError):
        mirror.store([fine], {}, [object()])  # type: ignore[list-item]
    assert not Workflow.objects.exists()
