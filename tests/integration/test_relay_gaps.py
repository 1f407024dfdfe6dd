"""The history is rebuilt after every kind of gap between it and Redis."""

from __future__ import annotations

import asyncio
import logging
import shutil

import msgspec
import pytest

from coordination.config import Config
from coordination.domain import Action
from dashboard import mirror
from dashboard.models import Decision, Escalation, RelayMark, Workflow
from tests import mirrored
from tests.mirrored import Word, sql, until
from tests.servers import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.relay_keeper.LOOK_S", 0.1)


def _row(workflow_id: str, **wanted: object) -> Workflow | None:
    return Workflow.objects.filter(pk=workflow_id, **wanted).first()


async def _marked(config: Config) -> None:
    """Let a relay run until history and Redis carry the same mark."""
    async with mirrored.client(config) as client, mirrored.relay(config):
        await client.submit("mirrored_wait", Word("x"), workflow_id="first")
        stream = client.connection.keys.events(client.connection.keys.shard("first"))
        await until(lambda: _row("first") and RelayMark.objects.filter(added__has_key=stream).exists())
        await until(lambda: RelayMark.objects.get().added[stream] > 0, "the mark knows of the event")


async def test_events_that_were_deleted_while_no_relay_ran(config: Config) -> None:
    await _marked(config)
    async with mirrored.client(config) as client:
        await client.submit("mirrored_wait", Word("y"), workflow_id="first-2")
        keys = client.connection.keys
        for shard in range(config.shards):
            await client.connection.call("DEL", keys.events(shard))
        async with mirrored.relay(config):
            await until(lambda: _row("first-2", state="queued"))
    assert await sql(_row, "first", state="queued")


async def test_events_that_a_group_made_anew_has_skipped(config: Config) -> None:
    await _marked(config)
    async with mirrored.client(config) as client:
        await client.submit("mirrored_wait", Word("y"), workflow_id="skipped")
        stream = client.connection.keys.events(client.connection.keys.shard("skipped"))
        await client.connection.call("XGROUP", "DESTROY", stream, "relay")
        await client.connection.call("XGROUP", "CREATE", stream, "relay", "$")
        async with mirrored.relay(config):
            await until(lambda: _row("skipped"))

            async def left() -> int:
                return int(await client.connection.call("XLEN", stream))

            async with asyncio.timeout(mirrored.WAIT_S):
                while await left():
                    await asyncio.sleep(0.02)


async def test_a_history_restored_from_an_older_backup(config: Config) -> None:
    async with mirrored.host_and_worker(config) as client:
        async with mirrored.relay(config):
            await client.submit("mirrored_wait", Word("x"), workflow_id="before")
            backup = await until(lambda: _row("before") and RelayMark.objects.filter(at__gt=0).first())
            await client.submit("mirrored_ask", Word("y"), workflow_id="after")
            await until(lambda: Escalation.objects.filter(workflow_id="after", state="open").exists())
            await until(lambda: RelayMark.objects.filter(at__gt=backup.at).exists(), "another mark is set")
        await sql(lambda: (Workflow.objects.filter(pk="after").delete(), Escalation.objects.all().delete()))
        await sql(backup.save)
        async with mirrored.relay(config):
            await until(lambda: _row("after", state="needs_human"))
            await until(lambda: Escalation.objects.filter(workflow_id="after", state="open").exists())


@pytest.mark.once
async def test_an_emptied_server(config: Config, own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    own = msgspec.structs.replace(config, redis_url=own_redis.url)
    caplog.set_level(logging.INFO, "ganglion.relay")
    async with mirrored.relay(own):
        async with mirrored.client(own) as client:
            await client.submit("mirrored_wait", Word("x"), workflow_id="gone")
            old = await until(lambda: _row("gone"))
            await until(lambda: RelayMark.objects.filter(at__gt=0).exists())
            await client.connection.call("FLUSHALL")
            closed = await until(lambda: _row("gone", state="failed"))
            assert closed.error == mirror.LOST
            await client.submit("mirrored_wait", Word("x"), workflow_id="gone")
            again = await until(lambda: _row("gone", state="queued"))
            assert again.created_at > old.created_at
    assert any("1 closed because Redis lost them" in line for line in caplog.messages)


@pytest.mark.once
async def test_a_server_restored_from_an_older_copy(config: Config, own_redis: RedisServer) -> None:
    own = msgspec.structs.replace(config, redis_url=own_redis.url)
    copy = own_redis.folder.with_name(f"{own_redis.folder.name}-copy")
    async with mirrored.host_and_worker(own) as client, mirrored.relay(own):
        await client.submit("mirrored_wait", Word("x"), workflow_id="kept")
        asked = await client.submit("mirrored_ask", Word("y"))
        question = await until(lambda: Escalation.objects.filter(workflow_id=asked, state="open").first())
        await until(lambda: _row("kept", epoch=1))
    await asyncio.to_thread(own_redis.stop)
    await asyncio.to_thread(shutil.copytree, own_redis.folder, copy)
    await asyncio.to_thread(own_redis.start)
    async with mirrored.host_and_worker(own) as client, mirrored.relay(own):
        await client.signal("kept", "unheard", "word")
        await client.submit("mirrored_wait", Word("z"), workflow_id="lost")
        await sql(Decision.objects.create, escalation_id=question.pk, version=1, action="fail", actor="ann",
                  state="accepted", due_at=question.opened_at)  # fmt: skip
        await client.commands.decide(question.pk, version=1, action=Action.FAIL, actor="ann", decision_id="d")
        await until(lambda: _row(asked, state="failed") and _row("lost"))
        ahead = await until(lambda: _row("kept", epoch__gt=1, seq__gt=1))
        await until(lambda: RelayMark.objects.filter(at__gt=0).exists())
    await asyncio.to_thread(own_redis.stop)
    await asyncio.to_thread(shutil.rmtree, own_redis.folder)
    await asyncio.to_thread(shutil.move, copy, own_redis.folder)
    await asyncio.to_thread(own_redis.start)
    async with mirrored.relay(own):
        assert (await until(lambda: _row("lost", state="failed"))).error == mirror.LOST
        await until(lambda: _row("kept", seq__lt=ahead.seq))
        await until(lambda: Escalation.objects.filter(pk=question.pk, state="open").exists())
        await until(lambda: Decision.objects.filter(escalation_id=question.pk, state="submitted").exists())
    assert await sql(_row, asked, state="failed")  # what had ended stays
