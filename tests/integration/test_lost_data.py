"""Single keys are deleted, or come back from an older copy: what they were made from fills them again."""

from __future__ import annotations

import asyncio
import time

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import DistributedCoordinator
from coordination import journal as j
from coordination import sweeper as sweeping
from coordination.client import WorkflowFailed
from coordination.domain import WorkflowState
from coordination.errors import ServerUnavailable
from coordination.lost import KEPT
from coordination.streams import wake
from tests.core_app.agents import event, release, started
from tests.core_harness import World, until
from tests.integration.conftest import Tune


class LostSleeps(DistributedCoordinator):
    async def run(self) -> str:
        await self.sleep(2)
        return "awake"


class LostCollects(DistributedCoordinator):
    async def run(self, count: int) -> list[int]:
        return [await self.wait_for_signal("n", returns=int) for _ in range(count)]


async def test_a_deleted_deadline_index_is_made_again_for_workflows_that_no_host_has_in_memory(
    core: World, tune: Tune
) -> None:
    core.config = tune(park_after_s=0.2)
    await core.host()
    identity = await core.client.submit("lost_sleeps")
    await until(lambda: core.state(identity, WorkflowState.WAITING))
    index = core.connection.keys.deadlines(core.connection.keys.shard(identity))
    await until(lambda: core.connection.call("ZSCORE", index, KEPT))
    await core.connection.call("DEL", index)
    assert await core.client.result(identity, timeout_s=10) == "awake"  # only the index knew of its timer


async def test_tasks_of_a_deleted_queue_are_queued_again(core: World) -> None:
    await core.host()
    identities = [await core.client.submit("core_steps", 6) for _ in range(8)]
    queue = core.connection.keys.agent_queue("core_tick")
    await until(lambda: _length(core, queue))
    await until(lambda: core.hosts[0]._lost._added.get(queue))  # the host has looked at it since
    began = time.monotonic()
    await core.connection.call("DEL", queue)
    await core.agents()
    for identity in identities:
        await core.client.result(identity, timeout_s=10)
    print(f"\nqueue deleted to the last result: {time.monotonic() - began:.2f} s")


async def _length(core: World, queue: str) -> int:
    return int(await core.connection.call("XLEN", queue))


@pytest.mark.once
async def test_what_is_asked_for_during_a_look_at_everything_is_done_after_it(
    core: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_SWEEP_S", 0.01)
    host, looked = await core.host(), []
    sweeper = sweeping.Sweeper(host)

    async def look_at_all(shard: int) -> None:
        if not shard:
            looked.append(sweeper)
            if len(looked) == 1:
                raise ServerUnavailable
            if len(looked) == 2:
                sweeper.look_at_everything_soon()

    monkeypatch.setattr(sweeper, "look_at_all", look_at_all)
    sweeper.look_at_everything_soon()
    running = asyncio.create_task(sweeper.run())
    await until(lambda: len(looked) == 3)
    await asyncio.sleep(0.1)
    running.cancel()
    assert len(looked) == 3


async def test_a_host_notices_that_its_server_knows_less_than_it(core: World) -> None:
    await core.host()
    identity = await core.client.submit("lost_collects", 3)
    await core.entry(identity, j.SignalAwaited)
    keys = core.connection.keys
    copied = {key: await core.connection.call("DUMP", key) for key in (keys.workflow(identity), keys.journal(identity))}
    for number in (1, 2):
        await core.client.signal(identity, "n", number, signal_id=str(number))
        await core.entry(identity, j.SignalAwaited, number + 1)
    for key, old in copied.items():
        await core.connection.call("RESTORE", key, 0, old, "REPLACE")
    core.hosts[0].recovered(queues_lost=False)
    for number in (1, 2, 3):  # whoever sent them sends them again
        await core.client.signal(identity, "n", number, signal_id=str(number))
    assert await core.client.result(identity, timeout_s=5) == [1, 2, 3]


async def test_people_end_a_workflow_whose_journal_was_deleted(core: World) -> None:
    host = await core.host()
    identity = await core.client.submit("lost_collects", 2)
    await core.entry(identity, j.SignalAwaited)
    keys = core.connection.keys
    await core.connection.call("DEL", keys.journal(identity))
    await core.connection.call("HDEL", keys.beats, host.id)  # as if declared dead: the workflow has to be replayed
    found = await core.escalation(identity)
    assert "entries" in found.question and "deleted" in found.question
    await core.decide(found, "fail")
    with pytest.raises(WorkflowFailed):
        await core.client.result(identity, timeout_s=5)


class LostPair(DistributedCoordinator):
    async def run(self) -> str:
        steps = [self.dispatch_task("core_wait", name, timeout_s=2) for name in ("one", "two")]
        return "".join(await self.gather(*steps))


class LostTwo(DistributedCoordinator):
    async def run(self) -> int:
        first = await self.dispatch_task("core_tick", 1)
        return int(first + await self.dispatch_task("core_tick", 2))


async def test_an_entry_that_was_lost_and_another_of_its_number_are_told_apart(core: World) -> None:
    """A result came, the server lost it in a failover, and the next one got its number before the host looked."""
    host, call, keys = await core.host(), core.connection.call, core.connection.keys
    await core.agents()
    identity = await core.client.submit("lost_pair")
    await asyncio.gather(event(started, "one").wait(), event(started, "two").wait())
    kept = {key: await call("DUMP", key) for key in (keys.workflow(identity), keys.journal(identity))}
    event(release, "one").set()
    await until(lambda: host.executions[identity].seq == 3)
    for key, dump in kept.items():
        await call("RESTORE", key, 0, dump, "REPLACE")
    event(release, "two").set()
    await until(lambda: _entries(core, identity, 3))
    host.recovered(queues_lost=True)
    assert await core.client.result(identity, timeout_s=10) == "onetwo"


async def test_nothing_is_written_after_an_entry_that_the_server_does_not_have(core: World) -> None:
    """The news of a result reached a server that had lost the result."""
    host = await core.host()
    identity = await core.client.submit("lost_two")
    await core.entry(identity, j.Attempt)
    seq = (await core.numbered(identity))[-1].seq
    lost = j.Settled("1", 0, 1, "agent", 0, b"1")
    await wake(core.connection, host.id, identity, seq + 1, host.now_ms(), j.encode(lost))
    await asyncio.sleep(0.3)
    assert [type(entry) for entry in await core.journal(identity)].count(j.Attempt) == 1
    await core.agents()
    assert await core.client.result(identity, timeout_s=10) == 3


async def _entries(core: World, identity: str, count: int) -> bool:
    return len(await core.journal(identity)) == count
