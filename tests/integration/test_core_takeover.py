"""Hosts that die, freeze, stop and come back: real processes, real signals."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import journal as j
from coordination.client import WorkflowFailed
from coordination.domain import Reason, WorkflowState
from coordination.host import Host
from coordination.keys import COORDINATORS_GROUP
from coordination.leases import Leases
from coordination.streams import ensure_groups
from tests.core_app.agents import calls
from tests.core_harness import World, until
from tests.core_host import HostProcess, host_process
from tests.integration.conftest import Tune

STEPS = 12
TOTAL = sum(range(STEPS - 2)) + 300


async def running(core: World, count: int) -> list[str]:
    """Submit workflows and wait until they are well under way."""
    identities = list(await asyncio.gather(*(core.client.submit("core_steps", STEPS) for _ in range(count))))
    await until(lambda: sum(calls.values()) >= count, 20)
    return identities


async def busiest(core: World, identities: list[str], *hosts: HostProcess) -> tuple[HostProcess, list[str]]:
    """The host that runs the most workflows at this moment, and which they are."""
    held: dict[str, list[str]] = {}
    for identity, snapshot in zip(identities, await core.client.inspect.snapshots(identities), strict=True):
        assert snapshot is not None
        if snapshot.owner:
            held.setdefault(snapshot.owner.rpartition("-")[0], []).append(identity)
    name = max(held, key=lambda name: len(held[name]))
    return next(host for host in hosts if host.name == name), held[name]


async def results(core: World, identities: list[str], within_s: float = 40) -> list[Any]:
    return await asyncio.gather(*(core.client.result(identity, timeout_s=within_s) for identity in identities))


def percentiles(words: str, values_ms: list[int]) -> None:
    values_ms = sorted(values_ms)
    p50, p99 = values_ms[len(values_ms) // 2], values_ms[int(len(values_ms) * 0.99)]
    print(f"\n{words}: n={len(values_ms)} p50={p50} ms p99={p99} ms max={values_ms[-1]} ms")


async def takeover_ms(core: World, identities: list[str], since_ms: float) -> list[int]:
    """For each workflow, how long after the fault another host took it up."""
    found = []
    for identity in identities:
        taken = [item for item in await core.numbered(identity) if isinstance(item.entry, j.TakenUp)]
        taken = [item for item in taken if item.at_ms >= since_ms]
        assert taken, f"{identity} was never taken up"
        found.append(int(taken[0].at_ms - since_ms))
    return found


async def each_step_settled_once(core: World, identities: list[str]) -> None:
    for identity in identities:
        settled = [entry.step for entry in await core.journal(identity, j.Settled)]
        assert len(settled) == len(set(settled)) == STEPS


async def test_a_killed_hosts_workflows_all_finish_on_its_peer(core: World) -> None:
    await core.agents(concurrency=400)
    async with host_process(core.config, "one") as one, host_process(core.config, "two") as two:
        identities = await running(core, 200)
        host, victims = await busiest(core, identities, one, two)
        before = {identity: (await core.client.get(identity)).epoch for identity in victims}
        since_ms = time.time() * 1000
        await host.kill()
        assert await results(core, identities) == [TOTAL] * 200
        unfinished = [identity for identity in victims if await core.journal(identity, j.TakenUp)]
        times_ms = await takeover_ms(core, unfinished, since_ms)
        percentiles("SIGKILL to takeover", times_ms)
        assert unfinished and max(times_ms) < 5_000
        for identity in unfinished:
            assert (await core.client.get(identity)).epoch > before[identity]
        await each_step_settled_once(core, identities)
        # a task may run again only when its first delivery was lost with the host that queued it
        repeated = {key: count for key, count in calls.items() if count > 1}
        assert not repeated


@pytest.mark.once
async def test_a_frozen_host_writes_nothing_stale_and_starts_anew(core: World) -> None:
    await core.agents(concurrency=400)
    async with host_process(core.config, "one") as one, host_process(core.config, "two") as two:
        identities = await running(core, 100)
        frozen, _ = await busiest(core, identities, one, two)
        former = {host.id for host in await core.client.inspect.hosts() if host.name == frozen.name}
        since_ms = time.time() * 1000
        frozen.send(signal.SIGSTOP)
        assert await results(core, identities) == [TOTAL] * 100
        await until(lambda: _hosts(core, 1))
        frozen.send(signal.SIGCONT)
        thawed = time.monotonic()
        await until(lambda: _hosts(core, 2), 5)
        print(f"\nSIGCONT to a new life: {(time.monotonic() - thawed) * 1000:.0f} ms")
        now = {host.id for host in await core.client.inspect.hosts() if host.name == frozen.name}
        assert now and not now & former
        await each_step_settled_once(core, identities)
        for identity in identities:  # nothing was written after the end
            entries = await core.journal(identity)
            assert isinstance(entries[-1], j.Finished) and sum(isinstance(e, j.Finished) for e in entries) == 1
            epochs = [entry.epoch for entry in entries if isinstance(entry, j.TakenUp)]
            assert epochs == sorted(set(epochs))
        taken = [identity for identity in identities if await core.journal(identity, j.TakenUp)]
        percentiles("SIGSTOP to takeover", await takeover_ms(core, taken, since_ms))
        assert "fenced" in frozen.log
        more = await running(core, 40)  # the one that came back works again
        assert await results(core, more) == [TOTAL] * 40


async def _hosts(core: World, count: int) -> bool:
    return len(await core.client.inspect.hosts()) == count


@pytest.mark.once
async def test_a_short_freeze_declares_nobody_dead(core: World) -> None:
    await core.agents(concurrency=100)
    async with host_process(core.config, "one") as one, host_process(core.config, "two"):
        identities = await running(core, 20)
        before = {host.id for host in await core.client.inspect.hosts()}
        one.send(signal.SIGSTOP)
        await asyncio.sleep(0.3)  # the fault itself
        one.send(signal.SIGCONT)
        assert await results(core, identities) == [TOTAL] * 20
        assert {host.id for host in await core.client.inspect.hosts()} == before


@pytest.mark.once
async def test_a_host_that_stops_hands_over_at_once(core: World) -> None:
    await core.agents(concurrency=400)
    async with host_process(core.config, "one") as one, host_process(core.config, "two") as two:
        identities = await running(core, 200)
        leaving, _ = await busiest(core, identities, one, two)
        since_ms = time.time() * 1000
        leaving.send(signal.SIGTERM)
        assert await leaving.ended() == 0
        print(f"\nSIGTERM to the end of the process: {time.time() * 1000 - since_ms:.0f} ms")
        assert await results(core, identities) == [TOTAL] * 200
        handed = [identity for identity in identities if await core.journal(identity, j.TakenUp)]
        assert handed
        times_ms = await takeover_ms(core, handed, since_ms)
        percentiles("SIGTERM to takeover", times_ms)
        assert max(times_ms) < 2_000
        assert set(calls.values()) == {1}
        await each_step_settled_once(core, identities)
        keys = core.connection.keys
        for shard in range(keys.shards):  # nothing of the stopped host is left
            for stream in (keys.workflows(shard), keys.resumes(shard)):
                names = [dict(zip(c[::2], c[1::2], strict=True))[b"name"] for c in await _consumers(core, stream)]
                assert not [name for name in names if name.startswith(leaving.name.encode())]


async def _consumers(core: World, stream: str) -> list[list[Any]]:
    return await core.connection.call("XINFO", "CONSUMERS", stream, "coordinators")  # type: ignore[no-any-return]


@pytest.mark.once
async def test_the_last_host_stops_and_the_next_goes_on(core: World) -> None:
    await core.agents(concurrency=100)
    async with host_process(core.config, "one") as one:
        identities = await running(core, 50)
        one.send(signal.SIGTERM)
        assert await one.ended() == 0
    async with host_process(core.config, "two"):
        assert await results(core, identities) == [TOTAL] * 50
    assert set(calls.values()) == {1}


@pytest.mark.once
async def test_hosts_killed_one_after_the_other(core: World) -> None:
    await core.agents(concurrency=400)
    async with host_process(core.config, "last"):
        identities = []
        for number in range(3):
            async with host_process(core.config, f"victim{number}") as victim:
                calls.clear()
                identities += await running(core, 60)
                await victim.kill()
        assert await results(core, identities) == [TOTAL] * 180
        await each_step_settled_once(core, identities)


# --- programs that harm their host -------------------------------------------------------


@pytest.mark.once
async def test_a_run_that_ends_its_host_is_handed_to_people(core: World) -> None:
    await core.agents(concurrency=100)
    names = iter(f"host{number}" for number in range(20))
    fallen = 0
    async with host_process(core.config, "steady") as _steady:
        pass
    neighbours = [await core.client.submit("core_steps", STEPS) for _ in range(5)]
    identity = await core.client.submit("core_exits")
    while True:
        async with host_process(core.config, next(names)) as host:
            tasks = {
                asyncio.create_task(host.ended(20)): "ended",
                asyncio.create_task(core.escalation(identity, within_s=20)): "escalated",
            }
            done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            if "escalated" in {tasks[task] for task in done}:
                break
            fallen += 1
            assert fallen <= 3
    print(f"\nhosts that fell: {fallen}")
    found = await core.escalation(identity)
    assert found.reason is Reason.COORDINATOR_CRASHED
    await core.decide(found, "fail")  # nobody has it in memory, and whoever takes it up must not run it again
    async with host_process(core.config, next(names)) as last:
        with pytest.raises(WorkflowFailed):
            await core.client.result(identity, timeout_s=20)
        assert await results(core, neighbours) == [TOTAL] * 5
        assert last.code is None


@pytest.mark.once
async def test_a_dead_hosts_mark_stays_until_its_workflow_is_taken_over(
    core: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that takes over other entries of the dead host, or has no room, leaves the mark to whoever comes."""
    keys, call = core.connection.keys, core.connection.call
    identity = await core.client.submit("core_open")
    stream = keys.workflows(keys.shard(identity))
    await ensure_groups(core.connection, [stream], COORDINATORS_GROUP)
    read = await call("XREADGROUP", "GROUP", COORDINATORS_GROUP, "fallen", "STREAMS", stream, ">")
    assert await Leases(core.connection, "fallen").claim(identity, f"w{read[0][1][0][0].decode()}")
    await call("HSET", keys.executing, "fallen", identity)
    with monkeypatch.context() as full:
        full.setattr(Host, "room", lambda self: 0)
        host = await core.host("peer")
        await host.rescue.run()
        assert await host.suspects.of("fallen") == identity

    found = await core.escalation(identity)
    assert found.reason is Reason.COORDINATOR_CRASHED
    await until(lambda: host.takeovers == 1)
    await host.rescue.run()
    assert await host.suspects.of("fallen") == ""


@pytest.mark.once
async def test_a_host_that_was_declared_dead_takes_its_former_mark_away(core: World) -> None:
    host = await core.host()
    former = host.id
    async with host.suspects.marked("w1"):
        assert await host.suspects.of(former) == "w1"
        await host.fenced()
    assert host.id != former
    assert await host.suspects.of(former) == ""


async def test_a_run_that_blocks_ends_its_host_and_is_named(core: World, tune: Tune) -> None:
    core.config = tune(blocked_s=1.5)
    identity = await core.client.submit("core_blocks")
    async with host_process(core.config, "one") as one:
        await core.entry(identity, j.SignalAwaited)
        await core.client.signal(identity, "go")
        assert await one.ended() == 70
        assert identity in one.log and "time.sleep(20)" in one.log
    assert (await core.client.get(identity)).state is WorkflowState.RUNNING


@pytest.mark.once
async def test_pauses_and_restarts_outlive_a_killed_host(core: World) -> None:
    await core.agents(concurrency=100)
    async with host_process(core.config, "one") as one, host_process(core.config, "two") as two:
        identities = await running(core, 30)
        host, victims = await busiest(core, identities, one, two)
        paused, restarted = identities[:10], identities[10:20]
        commands = core.client.commands
        await asyncio.gather(*(commands.pause(identity, actor="anna") for identity in paused))
        killed = asyncio.ensure_future(host.kill())
        await asyncio.gather(*(commands.restart(identity, "1", actor="anna", request_id="r") for identity in restarted))
        await killed
        assert victims and await results(core, identities[10:]) == [TOTAL] * 20
        for identity in paused:
            assert (await core.client.get(identity)).state is WorkflowState.PAUSED
            entries = await core.journal(identity)
            since = next(index for index, entry in enumerate(entries) if isinstance(entry, j.Paused))
            assert sum(isinstance(entry, j.Settled) for entry in entries[since:]) <= 2  # what ran may finish
        again = [identity for identity in paused if await commands.restart(identity, "1", actor="anna") == 1]
        await asyncio.gather(*(commands.resume(identity, actor="anna") for identity in paused))
        assert again == paused and await results(core, paused) == [TOTAL] * 10
        for identity in identities:
            counting = j.counting(await core.numbered(identity))
            settled = [item.entry.step for item in counting if isinstance(item.entry, j.Settled)]
            assert len(settled) == len(set(settled)) == STEPS
