"""The relay: from events to rows, with real servers on both sides."""

from __future__ import annotations

import asyncio
import functools

import pytest
from channels.layers import get_channel_layer

from coordination import history, journal
from coordination.client import Client
from coordination.config import Config
from coordination.connection import Connection
from coordination.domain import Action, Reason, StepState
from dashboard import live, queries
from dashboard.models import Escalation, HostEvent, Sample, Workflow, WorkflowArchive
from dashboard.relay import Relay
from dashboard.relay_batch import Batch
from dashboard.relay_status import RelayLag
from tests import mirrored
from tests.mirrored import Word, sql, until

pytestmark = pytest.mark.django_db(transaction=True)


def _row(workflow_id: str, **wanted: object) -> Workflow | None:
    return Workflow.objects.filter(pk=workflow_id, **wanted).first()


async def test_a_finished_workflow_is_mirrored_with_its_journal_and_leaves_redis(config: Config) -> None:
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        workflow_id = await client.submit("mirrored_shout", Word("hello"), labels={"team": "blue"})
        await client.result(workflow_id, timeout_s=10)
        row = await until(lambda: _row(workflow_id, state="completed"))
        assert (row.type, row.steps_done, row.summary) == ("mirrored_shout", 1, "blue · hello")
        assert row.duration_ms is not None
        archive = await sql(WorkflowArchive.objects.get, pk=workflow_id)
        assert archive.result == '{"text":"HELLO","length":5}'
        steps = history.steps(journal.decode_archive(archive.journal))
        assert [(step.name, step.state) for step in steps] == [("mirrored_shout_task", StepState.SUCCEEDED)]

        events = [client.connection.keys.events(shard) for shard in range(config.shards)]

        async def left() -> int:
            journals = await client.connection.call("EXISTS", client.connection.keys.journal(workflow_id))
            return int(journals) + sum([await client.connection.call("XLEN", stream) for stream in events])

        for _ in range(200):
            if not await left():
                break
            await asyncio.sleep(0.02)
        assert await left() == 0


async def test_secrets_never_reach_the_history(config: Config) -> None:
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        workflow_id = await client.submit("mirrored_shout", Word("hello", api_key="sk_live_1234567890abcdef"))
        await until(lambda: _row(workflow_id, state="completed"))
        archive = await sql(WorkflowArchive.objects.get, pk=workflow_id)
        row = await sql(Workflow.objects.get, pk=workflow_id)
        kept = archive.input + archive.result + row.summary + str(bytes(archive.journal))
        assert "sk_live" not in kept
        assert '"api_key":"[redacted]"' in archive.input


async def test_an_escalation_is_mirrored_and_its_outcome_follows_the_step(config: Config) -> None:
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        workflow_id = await client.submit("mirrored_shout", Word("bad-one"))
        found = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id).first())
        assert found.reason == Reason.FINAL_ERROR
        assert found.headline == "mirrored_shout_task: word 'bad-one' number 4711 is bad"
        await until(lambda: _row(workflow_id, state="needs_human", open_escalations=1))

        await client.commands.decide(found.id, version=1, action=Action.RETRY, actor="ann", decision_id="d1")
        again = await until(lambda: Escalation.objects.filter(pk=found.id, outcome="failed_again").first())
        assert (again.state, again.resolved_by) == ("resolved", "ann")

        second = await until(lambda: Escalation.objects.filter(workflow_id=workflow_id, state="open").first())
        assert second.fingerprint == found.fingerprint
        mirrored.REPAIRED.add("bad-one")
        await client.commands.decide(second.id, version=1, action=Action.RETRY, actor="ann", decision_id="d2")
        await until(lambda: Escalation.objects.filter(pk=second.id, outcome="succeeded").first())
        await until(lambda: _row(workflow_id, state="completed"))


async def test_an_open_escalation_of_a_cancelled_workflow_is_withdrawn(config: Config) -> None:
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        workflow_id = await client.submit("mirrored_ask", Word("rhythm"))
        await until(lambda: Escalation.objects.filter(workflow_id=workflow_id, state="open").exists())
        await client.cancel(workflow_id, actor="ann")
        await until(lambda: Escalation.objects.filter(workflow_id=workflow_id, state="withdrawn").exists())
        await until(lambda: _row(workflow_id, state="cancelled"))


async def test_what_a_relay_took_and_did_not_acknowledge_is_mirrored_after_its_restart(config: Config) -> None:
    async with mirrored.client(config) as client:
        keys = client.connection.keys
        streams = [keys.events(shard) for shard in range(config.shards)]
        for stream in streams:
            await client.connection.call("XGROUP", "CREATE", stream, "relay", "0", "MKSTREAM")
        workflow_id = await client.submit("mirrored_wait", Word("x"))
        read = ("XREADGROUP", "GROUP", "relay", "relay", "STREAMS")
        taken = [await client.connection.call(*read, stream, ">") for stream in streams]
        assert any(taken)  # a relay of this name has read, and dies
        async with mirrored.relay(config):
            await until(lambda: _row(workflow_id, state="queued"))


@pytest.mark.once
async def test_a_damaged_workflow_is_shown_as_such_beside_the_others(config: Config) -> None:
    async with Client.open(config) as client:
        keys, call = client.connection.keys, client.connection.call
        sound, *broken = [await client.submit("mirrored_wait", Word(str(number))) for number in range(4)]
        fields = [("input", b"{never"), ("labels", b"[]"), ("state", b"\xff")]
        for workflow_id, (name, value) in zip(broken, fields, strict=True):
            await call("HSET", keys.workflow(workflow_id), name, value)
        async with mirrored.relay(config):
            await until(lambda: Workflow.objects.count() == 4 or None)
            assert (await sql(_row, sound)).error == ""
            for workflow_id, (name, _) in zip(broken, fields, strict=True):
                row = await sql(_row, workflow_id)
                assert row.error == f"DamagedRecord: Redis holds something unreadable as {name} of this workflow."
                assert (await client.get(workflow_id)).error is not None
            assert (await client.get(broken[0])).input is None


async def test_what_a_dead_relay_left_is_taken_over(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.relay.DEAD_MS", 50)
    monkeypatch.setattr("dashboard.relay.RECLAIM_S", 0.1)
    async with mirrored.client(config) as client:
        keys = client.connection.keys
        stream = keys.events(keys.shard("taken-over"))
        await client.connection.call("XGROUP", "CREATE", stream, "relay", "0", "MKSTREAM")
        await client.submit("mirrored_wait", Word("x"), workflow_id="taken-over")
        await client.connection.call("XREADGROUP", "GROUP", "relay", "another", "STREAMS", stream, ">")
        async with mirrored.relay(config):
            await until(lambda: _row("taken-over"))


async def test_an_older_reading_never_overwrites_a_newer_one(config: Config) -> None:
    from dashboard import mirror

    async with mirrored.host_and_worker(config) as client:
        workflow_id = await client.submit("mirrored_wait", Word("x"))
        before = await client.get(workflow_id)
        await client.signal(workflow_id, "go", "now")
        await client.result(workflow_id, timeout_s=10)
        after = await client.get(workflow_id)
    await sql(mirror.store, [after], {})
    await sql(mirror.store, [before], {})
    row = await sql(Workflow.objects.get, pk=workflow_id)
    assert (row.state, row.seq) == ("completed", after.seq)


async def test_an_event_of_a_change_that_was_read_already_writes_nothing(config: Config) -> None:
    async with mirrored.client(config) as client, mirrored.relay(config):
        keys, call = client.connection.keys, client.connection.call
        workflow_id = await client.submit("mirrored_wait", Word("x"))
        first = await until(lambda: _row(workflow_id))
        stream = keys.events(keys.shard(workflow_id))
        await call("XADD", stream, "*", "w", workflow_id, "k", "progressed", "q", 0, "t", 0)
        for _ in range(500):
            if not await call("XLEN", stream):
                break
            await asyncio.sleep(0.02)
        assert await call("XLEN", stream) == 0
        row = await sql(Workflow.objects.get, pk=workflow_id)
        assert row.updated_at == first.updated_at
        await call("HSET", keys.workflow(workflow_id), "seq", 7)
        await call("XADD", stream, "*", "w", workflow_id, "k", "progressed", "q", 7, "t", 0)
        row = await until(lambda: _row(workflow_id, seq=7))
        assert row.updated_at > first.updated_at


async def test_an_id_that_is_used_again_after_its_workflow_expired_begins_its_history_anew(config: Config) -> None:
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config):
        keys, call = client.connection.keys, client.connection.call
        for word in ("one", "two"):
            await client.execute("mirrored_shout", Word(word), workflow_id="nightly", timeout_s=10)
            await until(functools.partial(_row, "nightly", state="completed", summary=word))
            archive = await sql(WorkflowArchive.objects.get, pk="nightly")
            assert archive.result == f'{{"text":"{word.upper()}","length":3}}'
            async with asyncio.timeout(10):
                while await call("EXISTS", keys.journal("nightly")):
                    await asyncio.sleep(0.02)
            await call("DEL", keys.workflow("nightly"))  # as when its time has come


async def test_an_emptied_server_gets_its_group_back(config: Config) -> None:
    async with mirrored.client(config) as client, mirrored.relay(config):
        keys = client.connection.keys
        for shard in range(config.shards):
            await client.connection.call("DEL", keys.events(shard))
        workflow_id = await client.submit("mirrored_wait", Word("x"))
        await until(lambda: _row(workflow_id))


async def test_pages_are_told_only_of_what_is_watched(config: Config) -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(live.group("workflow.watched"), channel)
    await layer.group_add(live.group("workflows"), channel)
    try:
        async with mirrored.client(config) as client, mirrored.relay(config) as relay:
            await client.submit("mirrored_wait", Word("x"), workflow_id="unwatched")
            await client.submit("mirrored_wait", Word("x"), workflow_id="watched")
            told = set()
            while told != {"workflows", "workflow.watched"}:
                async with asyncio.timeout(mirrored.WAIT_S):
                    told.add((await layer.receive(channel))["topic"])
            watched = await live.watched(relay.connection)
            assert watched is None or "workflow.unwatched" not in watched
    finally:
        await layer.flush()


async def test_the_lag_is_visible(config: Config) -> None:
    async with mirrored.client(config) as client:
        await client.submit("mirrored_wait", Word("x"))
        async with await Connection.open(config) as connection:
            reporter = Relay(connection, "measures").reporter
            lag = await reporter.report()
            assert lag.events >= 1
            seen: RelayLag = await sql(queries.relay_lag)
            assert (seen.events, seen.alive) == (lag.events, True)


async def test_samples_count_each_finished_workflow_once(config: Config) -> None:
    async with mirrored.host_and_worker(config) as client, mirrored.relay(config) as relay:
        ids = [await client.submit("mirrored_shout", Word(f"w{n}")) for n in range(5)]
        await until(lambda: Workflow.objects.filter(pk__in=ids, state="completed").count() == 5)
        assert await _finished(relay, 5) == 5
        await relay.process(Batch(set(ids), events=5))
        await relay._settled()
        assert await _finished(relay, 5) == 5
        assert any(sample.p95_ms for sample in await sql(lambda: list(Sample.objects.all())))


@pytest.mark.once
async def test_what_was_rebuilt_is_counted_when_its_events_come(config: Config) -> None:
    async with mirrored.host_and_worker(config) as client, await Connection.open(config) as connection:
        identity = await client.submit("mirrored_shout", Word("w"))
        await client.result(identity)
        relay, batch = Relay(connection, "relay"), Batch({identity}, events=1)
        await relay.processor.rebuild(await relay.processor.read(batch))
        await relay.processor.commit(await relay.processor.read(batch))
        assert await _finished(relay, 1) == 1


async def _finished(relay: Relay, count: int) -> int:
    """How many ends were sampled, once there are so many."""
    found = 0
    async with asyncio.timeout(10):
        while found < count:
            await relay.reporter.sample(relay.sql)
            found = await sql(lambda: sum(sample.finished for sample in Sample.objects.all()))
    return found


async def test_hosts_that_come_and_go_are_remembered(config: Config) -> None:
    async with mirrored.relay(config):
        async with mirrored.host_and_worker(config):
            await until(lambda: HostEvent.objects.filter(kind="started").exists())
        await until(lambda: HostEvent.objects.filter(kind="stopped").exists())
