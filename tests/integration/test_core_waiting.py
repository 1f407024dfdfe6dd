"""Timers, signals and recorded values; leaving memory while waiting, and coming back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from coordination import DistributedCoordinator
from coordination import journal as j
from coordination.client import WorkflowFailed
from coordination.domain import StepState, WorkflowState
from coordination.errors import SignalTimeout, WorkflowFinished, WorkflowNotFound
from tests.core_harness import World, until
from tests.integration.conftest import Tune


class CoreNap(DistributedCoordinator):
    async def run(self, seconds: float) -> bool:
        before = self.now()
        await self.sleep(seconds)
        return (self.now() - before).total_seconds() >= seconds - 0.05


class CoreSignals(DistributedCoordinator):
    async def run(self, limit_s: float | None) -> list[Any]:
        first = await self.wait_for_signal("go", returns=int)
        try:
            second = await self.wait_for_signal("go", timeout_s=limit_s, returns=int)
        except SignalTimeout as error:
            second = str(error)
        return [first, second]


recorded: list[str] = []


class CoreRecord(DistributedCoordinator):
    async def run(self) -> list[Any]:
        one = await self.record("plain", lambda: recorded.append("plain") or len(recorded))
        two = await self.record("async", self._async)
        await self.wait_for_signal("go")
        return [one, two]

    async def _async(self) -> str:
        await asyncio.sleep(0.01)
        recorded.append("async")
        return "done"


class CoreRecordFails(DistributedCoordinator):
    async def run(self) -> None:
        await self.record("bad", lambda: 1 / 0)


class CoreProgress(DistributedCoordinator):
    async def run(self) -> None:
        await self.progress("3 of 10 pages")
        await self.wait_for_signal("go")


async def test_sleep_takes_its_time(core: World) -> None:
    await core.host()
    before = time.monotonic()
    assert await core.run("core_nap", 0.3)
    assert 0.28 < time.monotonic() - before < 2


async def test_signals_before_and_during_the_wait(core: World) -> None:
    identity = await core.client.submit("core_signals", None)
    await core.client.signal(identity, "other", 0)
    await core.client.signal(identity, "go", 1)
    await core.host()
    await core.entry(identity, j.SignalAwaited, 2)
    await core.client.signal(identity, "go", 2)
    assert await core.client.result(identity, timeout_s=5) == [1, 2]
    steps = await core.steps(identity)
    assert [view.state for view in steps.values()] == [StepState.SUCCEEDED] * 2
    assert [view.output for view in steps.values()] == [1, 2]


async def test_the_same_signal_counts_once(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_signals", None)
    await asyncio.gather(*(core.client.signal(identity, "go", 1, signal_id="one") for _ in range(20)))
    await core.client.signal(identity, "go", 2, signal_id="two")
    assert await core.client.result(identity, timeout_s=5) == [1, 2]


async def test_a_signal_that_does_not_come(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_signals", 0.2)
    await core.client.signal(identity, "go", 1)
    first, second = await core.client.result(identity, timeout_s=5)
    assert first == 1 and second == "Signal 'go' did not come within 0.2 s."
    assert (await core.steps(identity))["2"].state is StepState.FAILED


async def test_a_signal_of_another_shape_fails_the_step(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_signals", None)
    await core.client.signal(identity, "go", "one")
    with pytest.raises(WorkflowFailed, match="does not fit"):
        await core.client.result(identity, timeout_s=5)


async def test_signals_to_nobody_are_refused(core: World) -> None:
    await core.host()
    with pytest.raises(WorkflowNotFound):
        await core.client.signal("w0", "go")
    identity = await core.client.submit("core_nap", 0)
    await core.client.result(identity, timeout_s=5)
    with pytest.raises(WorkflowFinished):
        await core.client.signal(identity, "go")


async def test_a_recorded_value_is_not_made_again(core: World) -> None:
    recorded.clear()
    host = await core.host()
    identity = await core.client.submit("core_record")
    await core.entry(identity, j.SignalAwaited)
    await host.executions[identity].stop()
    await core.entry(identity, j.TakenUp)
    await core.client.signal(identity, "go")
    assert await core.client.result(identity, timeout_s=5) == [1, "done"]
    assert recorded == ["plain", "async"]


async def test_a_record_that_raises_fails_its_step(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_record_fails")
    with pytest.raises(WorkflowFailed, match="division by zero"):
        await core.client.result(identity, timeout_s=5)
    assert (await core.steps(identity))["1"].state is StepState.FAILED


async def test_a_slow_record_holds_up_nobody(core: World) -> None:
    await core.host()
    gate = asyncio.Event()

    class CoreSlowRecord(DistributedCoordinator):
        async def run(self) -> bool:
            return bool(await self.record("slow", gate.wait))

    identity = await core.client.submit("core_slow_record")
    assert await core.run("core_nap", 0, timeout_s=5)
    gate.set()
    assert await core.client.result(identity, timeout_s=5) is True


async def test_progress_is_shown(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_progress")
    await core.entry(identity, j.SignalAwaited)
    assert (await core.client.get(identity)).progress == "3 of 10 pages"


# --- parking ------------------------------------------------------------------------


async def parked(core: World, identity: str) -> None:
    await core.state(identity, WorkflowState.WAITING)
    await until(lambda: not core.held(identity))


async def test_a_waiting_workflow_leaves_memory_and_a_signal_brings_it_back(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.1)
    await core.host()
    identity = await core.client.submit("core_signals", None)
    await parked(core, identity)
    assert (await core.client.get(identity)).owner == ""
    await core.client.signal(identity, "go", 1)
    await core.entry(identity, j.SignalAwaited, 2)
    await parked(core, identity)
    await core.client.signal(identity, "go", 2)
    assert await core.client.result(identity, timeout_s=5) == [1, 2]


async def test_a_long_timer_brings_a_parked_workflow_back(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.2)
    await core.host()
    identity = await core.client.submit("core_nap", 1.2)
    await parked(core, identity)
    assert await core.client.result(identity, timeout_s=5)


async def test_a_signals_time_limit_passes_while_parked(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.1)
    await core.host()
    identity = await core.client.submit("core_signals", 0.8)
    await core.client.signal(identity, "go", 1)
    await parked(core, identity)
    assert "did not come" in (await core.client.result(identity, timeout_s=5))[1]


async def test_a_timer_that_comes_soon_is_waited_for_without_spinning(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.5)
    await core.host()
    identity = await core.client.submit("core_nap", 0.9)
    await core.entry(identity, j.TimerSet)
    before, began = time.process_time(), time.monotonic()
    assert await core.client.result(identity, timeout_s=5)
    assert time.process_time() - before < 0.6 * (time.monotonic() - began)


class CoreAsk(DistributedCoordinator):
    async def run(self) -> str:
        return str(await self.ask_human("Well?", returns=str))


async def test_an_answer_brings_a_parked_workflow_back(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.1)
    await core.host()
    identity = await core.client.submit("core_ask")
    found = await core.escalation(identity)
    await until(lambda: not core.held(identity))
    assert (await core.client.get(identity)).state is WorkflowState.NEEDS_HUMAN
    await core.decide(found, "supply", "yes")
    assert await core.client.result(identity, timeout_s=5) == "yes"


async def test_signals_race_with_parking_and_none_is_lost(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.05)
    await core.host()

    class CoreMany(DistributedCoordinator):
        async def run(self) -> list[int]:
            return [await self.wait_for_signal("n", returns=int) for _ in range(12)]

    identities = [await core.client.submit("core_many") for _ in range(10)]
    for number in range(12):
        for identity in identities:
            await core.client.signal(identity, "n", number)
        await asyncio.sleep(0.045)
    for identity in identities:
        assert await core.client.result(identity, timeout_s=10) == list(range(12))


async def test_an_entry_that_comes_while_a_claim_is_answered_is_not_missed(core: World) -> None:
    host = await core.host()
    identity = await core.client.submit("core_signals", None)
    await core.entry(identity, j.SignalAwaited)
    claim, claimed, go_on = host.leases.claim, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> Any:
        lease = await claim(*args)
        claimed.set()
        await go_on.wait()
        return lease

    host.leases.claim = slow  # type: ignore[method-assign]
    await host.executions[identity].stop()
    await claimed.wait()
    await core.client.signal(identity, "go", 1)
    await core.client.signal(identity, "go", 2)
    await until(lambda: identity in host._missed)
    go_on.set()
    assert await core.client.result(identity, timeout_s=3) == [1, 2]
