"""Why a workflow waits, told from what Redis holds at this moment."""

from __future__ import annotations

from typing import Any

import tests.core_app.workflows  # noqa: F401 - its types are submitted
from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.waiting import WaitKind, WaitReason
from tests.core_app import agents as tasks
from tests.core_harness import World, soon, until
from tests.core_host import host_process


class WaitsMany(DistributedCoordinator):
    """Every kind of waiting at once."""

    async def run(self) -> None:
        await self.gather(
            self.dispatch_task("core_wait", "w1"),
            self.dispatch_task("core_flaky", tasks.Order(fails=9), max_retries=3),
            self.dispatch_task("core_flaky", tasks.Order(fails=9, final=True)),
            self.dispatch_task("core_nobody", 1),
            self.dispatch_task("core_facts", tasks.Document("x"), requires={"kind": "nda"}),
            self.dispatch_task("core_add", [1]),
            self.wait_for_signal("go", timeout_s=500),
            self.sleep(600),
            self.start_child("waits_child"),
        )


class WaitsChild(DistributedCoordinator):
    async def run(self) -> None:
        await self.wait_for_signal("never")


async def reasons(core: World, identity: str) -> dict[str, WaitReason]:
    return {reason.step: reason for reason in await core.client.inspect.why(identity)}


async def test_each_idle_step_says_what_it_waits_for(core: World) -> None:
    await core.client.commands.pause_type("core_add", "anna", "the ledger is down")
    unhosted = await core.client.submit("waits_child")
    second = await core.client.submit("waits_child")
    shard = core.connection.keys.shard
    assert [(one.kind, one.hosts) for one in await core.client.inspect.why(unhosted)] == [(WaitKind.ADMISSION, 0)]
    ahead = (await core.client.inspect.why(second))[0].ahead
    assert ahead == int(shard(unhosted) == shard(second))
    await core.host()
    await core.agents()
    identity = await core.client.submit("waits_many")
    await soon(tasks.event(tasks.started, "w1").wait())
    escalation = await core.escalation(identity)

    async def settled() -> dict[str, WaitReason] | None:
        found = await reasons(core, identity)
        return found if found.get("1.1.1") and found["1.1.1"].kind is WaitKind.BACKOFF else None

    found = await until(settled)
    kinds = {step: reason.kind for step, reason in found.items()}
    assert kinds == {
        "1.0.1": "agent", "1.1.1": "backoff", "1.2.1": "person", "1.3.1": "no_agent", "1.4.1": "no_agent",
        "1.5.1": "type_paused", "1.6.1": "signal", "1.7.1": "timer", "1.8.1": "child",
    }  # fmt: skip
    assert found["1.0.1"].agent and found["1.0.1"].since_ms and len(found["1.0.1"].upstream) == 8
    assert found["1.1.1"].until_ms > found["1.1.1"].since_ms and found["1.1.1"].attempt
    assert found["1.2.1"].escalation_id == escalation.id
    assert (found["1.4.1"].unfit, found["1.4.1"].able, found["1.4.1"].requires) == (1, 0, {"kind": "nda"})
    assert (found["1.5.1"].paused_by, found["1.5.1"].able, found["1.5.1"].waiting) == ("anna", 1, 1)
    assert found["1.6.1"].name == "go" and found["1.6.1"].until_ms and found["1.7.1"].until_ms
    assert found["1.8.1"].child_id == (await core.journal(identity, j.ChildStarted))[0].child_id
    await core.client.commands.pause(identity, actor="ben", reason="later")
    assert (await reasons(core, identity))[""].paused_by == "ben"
    await core.client.commands.terminate(identity, actor="anna")
    tasks.event(tasks.release, "w1").set()

    async def ended() -> bool:
        return not await core.client.inspect.why(identity)

    await until(ended)


async def test_the_number_of_commands_does_not_grow_with_the_steps(core: World) -> None:
    await core.host()
    await core.agents("core_tick")
    counts = []
    for size in (1, 60):
        identity = await core.client.submit("waits_wide", size)
        await core.entry(identity, j.Attempt, count=size)
        sent = 0
        call: Any = core.connection.call

        def counted(*command: Any, _call: Any = call) -> Any:
            nonlocal sent
            sent += 1
            return _call(*command)

        core.connection.call = counted  # type: ignore[method-assign]
        assert len(await core.client.inspect.why(identity)) == size
        core.connection.call = call  # type: ignore[method-assign]
        counts.append(sent)
        await core.client.commands.terminate(identity, actor="anna")
    assert counts[0] == counts[1] < 60


class WaitsWide(DistributedCoordinator):
    async def run(self, size: int) -> None:
        await self.gather(*(self.dispatch_task("core_nobody", number) for number in range(size)))


async def test_an_owner_that_beats_no_more_is_named_with_its_silence(core: World) -> None:
    async with host_process(core.config, "one") as one:
        identity = await core.client.submit("core_open")
        await core.entry(identity, j.SignalAwaited)
        assert [reason.kind for reason in await core.client.inspect.why(identity)] == [WaitKind.SIGNAL]
        [host] = await core.client.inspect.hosts()
        await one.kill()

        async def silent() -> WaitReason | None:
            first = (await core.client.inspect.why(identity))[0]
            return first if first.kind is WaitKind.COORDINATOR else None

        found = await until(silent)
    limit_ms = core.config.suspicion_beats * core.config.heartbeat_s * 1000
    assert (found.owner, found.hosts) == (host.id, 0) and found.silent_ms > limit_ms >= host.beat_age_ms
