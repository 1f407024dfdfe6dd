"""A gather of thousands: what one turn writes is written in parts, each of which a replay accepts."""

from __future__ import annotations

import time
from typing import Any

import pytest

from coordination import DistributedCoordinator, writing
from coordination import journal as j
from coordination.domain import WorkflowState
from coordination.errors import JournalRewound
from tests.core_app import agents as core_agents
from tests.core_harness import World, until
from tests.integration.conftest import Tune

WIDE = 10_000


@pytest.fixture
def wide() -> None:
    class CoreWide(DistributedCoordinator):
        async def run(self, count: int) -> int:
            parts = await self.gather(*(self.dispatch_task("core_add", [number, 1]) for number in range(count)))
            return sum(parts)


@pytest.mark.once
@pytest.mark.parametrize("end", ["cancel", "terminate"])
async def test_ten_thousand_tasks_of_one_gather_are_queued_and_taken_back(core: World, wide: None, end: str) -> None:
    await core.host()
    queue, began = core.connection.keys.agent_queue("core_add", "normal"), time.monotonic()

    identity = await core.client.submit("core_wide", WIDE)

    async def all_queued() -> bool:
        return await core.connection.call("XLEN", queue) == WIDE

    await until(all_queued, 10)
    assert time.monotonic() - began <= 10
    assert (await core.client.get(identity)).steps_total == WIDE
    assert {entry.step for entry in await core.journal(identity, j.Attempt)} == {f"1.{n}.1" for n in range(WIDE)}
    await (core.client.cancel(identity) if end == "cancel" else core.client.commands.terminate(identity, actor="anna"))
    await core.state(identity, WorkflowState.CANCELLED)
    fields = await core.connection.call("HGETALL", core.connection.keys.workflow(identity))
    records = [value for name, value in zip(fields[::2], fields[1::2], strict=True) if name[:2] == b"t:"]
    assert len(records) == WIDE and all(b":x:" in record for record in records)


@pytest.mark.once
async def test_a_gather_beyond_the_journals_limit_is_refused_in_words_before_it_begins(
    core: World, wide: None, tune: Tune
) -> None:
    core.config = tune(journal_entries=2 * writing.MOST_ENTRIES)
    await core.host()

    identity = await core.client.submit("core_wide", 2 * writing.MOST_ENTRIES + 1)

    found = await core.escalation(identity)
    assert f"is full ({2 * writing.MOST_ENTRIES:,} entries)" in found.question
    assert "Split the work into child workflows, or raise GANGLION_JOURNAL_ENTRIES." in found.question
    assert not await core.journal(identity, j.Attempt)
    await core.client.cancel(identity)
    await core.state(identity, WorkflowState.CANCELLED)


@pytest.mark.once
@pytest.mark.parametrize("limit", ["MOST_ENTRIES", "MOST_BYTES"])
async def test_a_replay_goes_on_after_any_part_of_a_turn(
    core: World, wide: None, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(writing, limit, 10)
    parts, real = [], writing.checkpoint

    async def handed_over(host: Any, execution: Any, batch: Any) -> bool:
        if len(parts) == 2:
            parts.append(0)
            raise JournalRewound("Handed over by the test.")
        parts.append(len(batch.entries))
        return await real(host, execution, batch)

    monkeypatch.setattr("coordination.execution.checkpoint", handed_over)
    await core.host()
    await core.agents("core_add")

    assert await core.run("core_wide", 35) == sum(range(35)) + 35
    assert 0 < parts[0] <= 10 and parts[0] == parts[1] and len(parts) > 4
    assert len(core_agents.calls) == 35
