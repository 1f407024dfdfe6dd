"""How hosts take over what a dead one held: side by side, before new work, and without asking twice for a task."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.domain import WorkflowState
from coordination.errors import OutcomeUnknown
from coordination.host import Host
from coordination.keys import COORDINATORS_GROUP
from coordination.leases import Leases
from coordination.streams import INBOX_TTL_S, ensure_groups
from tests.core_app.agents import event, release, started
from tests.core_harness import World, until
from tests.integration.conftest import Tune

pytestmark = pytest.mark.once


class RescueWaits(DistributedCoordinator):
    """One task with agents, and one that nobody takes."""

    async def run(self, name: str) -> str:
        held, _ = await self.gather(
            self.dispatch_task("core_wait", name), self.dispatch_task("core_add", [1], queue_timeout_s=60)
        )
        return str(held)


async def _leave_with_the_dead(core: World, count: int) -> list[str]:
    """Submit workflows, and let a host have claimed them that is not there any more."""
    connection, keys = core.connection, core.connection.keys
    identities = [await core.client.submit("core_open") for _ in range(count)]
    streams = [keys.workflows(shard) for shard in range(keys.shards)]
    await ensure_groups(connection, streams, COORDINATORS_GROUP)
    for stream in streams:
        for _, entries in (
            await connection.call("XREADGROUP", "GROUP", COORDINATORS_GROUP, "fallen", "STREAMS", stream, ">") or []
        ):
            for entry, fields in entries:
                await Leases(connection, "fallen").claim(fields[1].decode(), f"w{entry.decode()}")
    return identities


async def test_each_host_takes_over_the_shards_that_fall_to_it(core: World, monkeypatch: pytest.MonkeyPatch) -> None:
    identities = await _leave_with_the_dead(core, 40)
    with monkeypatch.context() as full:
        full.setattr(Host, "room", lambda self: 0)
        one, two = await core.host("one"), await core.host("two")
        await until(lambda: one.peers and two.peers)
    await asyncio.gather(one.rescue.run(), two.rescue.run())
    hosts, keys = sorted((one.id, two.id)), core.connection.keys
    for snapshot in await core.client.inspect.snapshots(identities):
        assert snapshot is not None and snapshot.owner == hosts[keys.shard(snapshot.id) % 2]


async def test_a_host_takes_over_what_its_peers_leave(core: World, monkeypatch: pytest.MonkeyPatch) -> None:
    identities = await _leave_with_the_dead(core, 40)
    with monkeypatch.context() as full:
        full.setattr(Host, "room", lambda self: 0 if self.stopping or self.name == "full" else 20)
        host, _ = await core.host("host"), await core.host("full")
        await until(lambda: host.takeovers == 40)
    assert {snapshot.owner for snapshot in await core.client.inspect.snapshots(identities) if snapshot} == {host.id}


async def test_new_work_waits_until_the_dead_hosts_is_taken_over(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.1)
    host = await core.host()
    parked = await core.client.submit("core_open")
    await core.state(parked, WorkflowState.WAITING)
    host.rescue.under_way = True
    await core.entry(await core.client.submit("core_open"), j.SignalAwaited)  # by the read that was under way before
    fresh = await core.client.submit("core_open")
    await core.client.signal(parked, "go")
    await core.entry(parked, j.TakenUp)  # what had begun goes on
    assert (await core.client.get(fresh)).state is WorkflowState.QUEUED
    host.rescue.under_way = False
    await core.entry(fresh, j.SignalAwaited)


async def test_a_task_that_an_agent_holds_is_not_queued_again(core: World) -> None:
    host = await core.host()
    await core.agents("core_wait")
    identity = await core.client.submit("rescue_waits", "held")
    await event(started, "held").wait()
    keys, former = core.connection.keys, host.id
    assert [await _added(core, queue) for queue in ("core_wait", "core_add")] == [1, 1]
    await core.connection.call("HDEL", keys.beats, former)  # its next beat tells that it was declared dead
    await core.entry(identity, j.TakenUp)
    await until(lambda: _all_added(core, "core_add", 2))  # it may have been written and never queued
    assert await _added(core, "core_wait") == 1
    await core.agents("core_add")
    event(release, "held").set()
    assert await core.client.result(identity, timeout_s=10) == "held"


async def _added(core: World, task_type: str) -> int:
    flat = await core.connection.call("XINFO", "STREAM", core.connection.keys.agent_queue(task_type, "normal"))
    told: dict[bytes, Any] = dict(zip(flat[::2], flat[1::2], strict=True))
    return int(told[b"entries-added"])


async def _all_added(core: World, task_type: str, count: int) -> bool:
    return await _added(core, task_type) == count


async def test_a_round_that_finds_nothing_does_not_hold_up_new_work_for_good(core: World) -> None:
    host = await core.host()
    rescue = host.rescue
    async with rescue._one:  # a round has begun when the one before comes to its end
        rescue.under_way, rescue._over = True, asyncio.create_task(rescue._end())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await until(lambda: not rescue.under_way)


async def test_a_host_that_once_did_not_beat_keeps_what_it_takes_when_it_does(
    core: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, keys = core.connection, core.connection.keys
    host = await core.host()

    async def read(name: str) -> str:
        """Let another host take a workflow."""
        with monkeypatch.context() as full:
            full.setattr(Host, "room", lambda self: 0)
            host._reader.begin_anew()
            await asyncio.sleep(0.1)
            identity = await core.client.submit("core_open")
            stream = keys.workflows(keys.shard(identity))
            found = await connection.call("XREADGROUP", "GROUP", COORDINATORS_GROUP, name, "STREAMS", stream, ">")
            entry = found[0][1][0][0].decode()
            await Leases(connection, name).claim(identity, f"w{entry}")
        return identity

    for is_robbed in (True, False):
        if not is_robbed:
            await connection.script("beat", [keys.beats, keys.hosts, keys.beat_times], ["newborn", "", "1"])
        identity = await read("newborn")
        host.peers.discard("newborn")  # this host has not heard of it
        await host.rescue.run()
        assert (await core.client.get(identity)).owner == (host.id if is_robbed else "newborn")


async def test_a_new_life_takes_nothing_before_its_first_beat(core: World, monkeypatch: pytest.MonkeyPatch) -> None:
    host = await core.host()
    former = host.id
    with monkeypatch.context() as silent:
        silent.setattr(host._watchdog._heart, "reborn", lambda host: None)
        await host.fenced()
        identity = await core.client.submit("core_open")
        await asyncio.sleep(1.0)
        assert host.id != former and (await core.client.get(identity)).state == "queued"
    host._watchdog._heart.reborn(host.id)
    await core.state(identity, "running")


@pytest.mark.parametrize("end", ["dies", "fails"])
async def test_a_takeover_that_was_broken_off_is_ended_by_another(
    core: World, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Whoever had moved the dead host's entries to itself died before it claimed them, or its claim failed once."""
    [identity] = await _leave_with_the_dead(core, 1)
    if end == "dies":
        stream = core.connection.keys.workflows(core.connection.keys.shard(identity))
        await core.connection.script("take_over", [stream], ["fallen", "fallen too", 10])
    honest, claims = Leases.claim, list[str]()

    async def claim(self: Leases, workflow_id: str, *rest: str) -> Any:
        claims.append(workflow_id)
        if end == "fails" and len(claims) == 1:
            raise OutcomeUnknown("The connection broke.")
        return await honest(self, workflow_id, *rest)

    monkeypatch.setattr(Leases, "claim", claim)
    host = await core.host()
    await until(lambda: identity in host.executions)
    assert (await core.client.get(identity)).epoch == 2


async def test_an_inbox_of_a_dead_host_goes(core: World) -> None:
    await _leave_with_the_dead(core, 1)
    inbox = core.connection.keys.inbox("fallen")
    await core.connection.call("XADD", inbox, "*", "w", "anew")  # as agents do long after it died
    host = await core.host()
    await until(lambda: host.takeovers == 1)
    assert 0 < await core.connection.call("TTL", inbox) <= INBOX_TTL_S
