"""Bugs 19 to 22 of reliability.md: what a recovery strands, robs or drops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import tests.core_app.workflows  # noqa: F401 - the client checks inputs against them
from coordination import DistributedCoordinator, sweeper
from coordination import host as host_module
from coordination import journal as j
from coordination.config import Config
from coordination.connection import Connection
from coordination.errors import DecisionConflict, OutcomeUnknown
from coordination.leases import Leases
from coordination.scripts import CONFLICT, DUPLICATE, HELD, UNREAD
from tests.agent_tasks import until
from tests.core_harness import World
from tests.core_host import host_process
from tests.lua_bench import Bench


class BugAsks(DistributedCoordinator):
    """Waits for a signal, then asks people for a number."""

    async def run(self) -> int:
        name = await self.wait_for_signal("name", returns=str)
        return int(await self.ask_human(f"How many for {name}?", returns=int))


@pytest.fixture
async def bench(config: Config) -> AsyncIterator[Bench]:
    async with await Connection.open(config) as connection:
        yield Bench(connection)


@pytest.mark.parametrize("executed", [False, True], ids=["refused", "reply lost"])
async def test_bug_19_a_workflow_whose_claim_failed_once_is_not_stranded(
    core: World, monkeypatch: pytest.MonkeyPatch, executed: bool
) -> None:
    monkeypatch.setattr(sweeper, "_LOST_MS", 100)
    monkeypatch.setattr(host_module, "_RESCUE_S", 0.1)
    honest, failed = Leases.claim, set()

    async def failing(self: Leases, workflow_id: str, entry: str, previous: str = "") -> Any:
        if workflow_id in failed:
            return await honest(self, workflow_id, entry, previous)
        failed.add(workflow_id)
        if executed:
            await honest(self, workflow_id, entry, previous)
        raise OutcomeUnknown("The connection to Redis broke during a call.")

    monkeypatch.setattr(Leases, "claim", failing)
    await core.host()
    await core.agents("core_tick")
    assert await core.run("core_steps", 3, timeout_s=10) == 300
    assert len(failed) == 1


async def test_bug_20_a_host_that_starts_adopts_nothing_that_another_runs(core: World) -> None:
    first = await core.host("first")
    identities = [await core.client.submit("bug_asks") for _ in range(20)]
    await until(lambda: len(first.executions) == 20)
    second = await core.host("second")
    await until(lambda: first.id in second.peers)
    await second.rescue.run()
    await second._sweeper.rescue_own()
    assert second.takeovers == 0 and not second.executions
    for snapshot in await core.client.inspect.snapshots(identities):
        assert snapshot is not None and (snapshot.owner, snapshot.epoch) == (first.id, 1)


async def test_bug_20_what_a_stale_list_names_is_left_to_its_owner(bench: Bench) -> None:
    """Between the look and the act an owner may have changed, and a host may have beaten."""
    identity = await bench.running()
    stale = (await bench.fields(identity))["entry"].decode()
    await bench.claim(identity, "h2", previous="h1")
    for previous in ("", "h1", "h3"):
        assert await bench.claim(identity, "h4", f"r{stale[1:]}", previous) == [HELD, b""]
    fields = await bench.fields(identity)
    assert (fields["owner"], fields["epoch"]) == (b"h2", b"2")
    await bench.beat("h1", True)
    await bench.beat("h1", False)
    assert await bench.declare_dead("h1", 1) == CONFLICT
    assert await bench.declare_dead("h1", 2) == 1


async def test_bug_21_accepted_input_counts_whoever_owns_the_workflow(bench: Bench) -> None:
    """Results, signals and decisions carry no epoch, and nobody leaves a workflow without having read them."""
    identity = await bench.running()
    await bench.queue_task(identity, 1)
    await bench.claim_task(identity, "a")
    escalation = f"{identity}~2~1"
    await bench.escalate(identity, 1, escalation, step="2")
    await bench.claim(identity, "h2", previous="h1")
    read = int((await bench.fields(identity))["seq"])
    assert (await bench.report_task(identity, "s"))[:2] == [1, b"h2"]
    assert (await bench.accept(identity, "g:1"))[:2] == [1, b"h2"]
    assert (await bench.decide(identity, escalation, "d"))[:2] == [1, b"h2"]
    assert await bench.park(identity, 2, read) == UNREAD
    assert await bench.finish(identity, 2, read) == [UNREAD]
    assert await bench.park(identity, 2, read + 3) == 1
    assert (await bench.accept(identity, "g:2"))[0] == 1  # and parked, it is brought back
    claimed = await bench.claim(identity, "h3")
    kept = [item.entry for item in j.parse(claimed[4]) if isinstance(item.entry, j.Settled | j.Decided | j.Progressed)]
    assert [type(entry) for entry in kept] == [j.Settled, j.Progressed, j.Decided, j.Progressed]


async def test_bug_21_input_accepted_while_no_host_lives_is_kept(core: World) -> None:
    await core.agents()
    async with host_process(core.config, "one") as one:
        identities = [await core.client.submit("core_open") for _ in range(10)]
        for identity in identities:
            await core.entry(identity, j.SignalAwaited)
        await one.kill()
    for identity in identities:
        await core.client.signal(identity, "go")
    async with host_process(core.config, "two"):
        for identity in identities:
            assert await core.client.result(identity, timeout_s=30) == "done 1"


async def test_bug_22_an_early_answer_waits_and_a_late_one_answers_nothing_else(core: World) -> None:
    """A signal may come before the wait; a decision is about one visit of one step, at one version."""
    identity = await core.client.submit("bug_asks")
    await core.client.signal(identity, "name", "Ada")  # nobody has even begun it
    await core.host()
    first = await core.escalation(identity)
    assert first.question == "How many for Ada?"
    await core.decide(first, "supply", "many", "d1")  # does not fit, so it is asked again
    second = await core.escalation(identity, 2)
    assert await core.decide(first, "supply", "many", "d1") == "repeated"  # its own answer, not one to this
    with pytest.raises(DecisionConflict):
        await core.decide(first, "supply", 7, "d2")
    found = await core.client.inspect.escalation(second.id)
    assert found is not None and found.state == "open" and found.id != first.id
    await core.decide(second, "supply", 3, "d3")
    assert await core.client.result(identity, timeout_s=10) == 3


async def test_bug_22_a_decision_about_another_version_is_refused(bench: Bench) -> None:
    identity = await bench.running()
    escalation = f"{identity}~1~1"
    assert (await bench.escalate(identity, 1, escalation))[0] == 1
    for version in (0, 2):
        assert await bench.decide(identity, escalation, "d", version=version) == [CONFLICT, b"open", b""]
    assert (await bench.decide(identity, escalation, "d"))[0] == 1
    assert (await bench.decide(identity, escalation, "d"))[0] == DUPLICATE
