"""Programs that changed while their workflows were under way, and code that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from coordination import DistributedCoordinator, catalog
from coordination import journal as j
from coordination.client import WorkflowFailed
from coordination.domain import EscalationState, Reason, WorkflowState
from tests.core_app.agents import calls
from tests.core_harness import World, until
from tests.integration.conftest import Tune


class Both(msgspec.Struct):
    number: int


def began() -> type[DistributedCoordinator]:
    class CoreChanges(DistributedCoordinator):
        type_name = "core_changes"

        async def run(self, number: int) -> list[Any]:
            one = await self.dispatch_task("core_add", [number])
            word = await self.wait_for_signal("go", returns=str)
            return [one, word, await self.dispatch_task("core_add", [one, one])]

    return CoreChanges


def changed() -> type[DistributedCoordinator]:
    class CoreChanges(DistributedCoordinator):
        type_name = "core_changes"

        async def run(self, number: int) -> list[Any]:
            two = await self.dispatch_task("core_add", [number, 1])
            return [two]

    return CoreChanges


def other_input() -> type[DistributedCoordinator]:
    class CoreChanges(DistributedCoordinator):
        type_name = "core_changes"

        async def run(self, both: Both) -> list[Any]:
            return [both.number]

    return CoreChanges


@pytest.fixture(autouse=True)
def code() -> Iterator[None]:
    began()
    yield
    catalog.workflow_types().pop("core_changes", None)
    catalog.workflow_types().pop("core_versions", None)


async def waiting(core: World) -> str:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_changes", 3)
    await core.entry(identity, j.SignalAwaited)
    return identity


async def test_a_changed_program_goes_to_people_and_ends_with_the_right_code(core: World) -> None:
    identity = await waiting(core)
    changed()
    await core.hand_over(identity)
    found = await core.escalation(identity)
    assert found.reason is Reason.WORKFLOW_CODE_CHANGED and found.step == ""
    assert "Attempt core_add" in found.question and "Deploy the code it began with" in found.question
    assert await core.state(identity, WorkflowState.NEEDS_HUMAN)
    await core.client.signal(identity, "go", "ready")  # accepted meanwhile, and not lost
    await core.decide(found, "retry", decision_id="d1")  # still the wrong code: asked again
    again = await core.escalation(identity, 2)
    began()
    await core.decide(again, "retry", decision_id="d2")
    assert await core.client.result(identity, timeout_s=5) == [3, "ready", 6]
    assert sorted(calls.values()) == [1, 1]


async def test_a_changed_program_may_be_ended(core: World) -> None:
    identity = await waiting(core)
    changed()
    await core.hand_over(identity)
    await core.decide(await core.escalation(identity), "fail")
    with pytest.raises(WorkflowFailed, match="anna ended the workflow as failed"):
        await core.client.result(identity, timeout_s=5)


async def test_a_changed_program_may_be_cancelled(core: World) -> None:
    identity = await waiting(core)
    changed()
    await core.hand_over(identity)
    found = await core.escalation(identity)
    await core.client.cancel(identity, actor="anna")
    await core.state(identity, WorkflowState.CANCELLED)
    now = await core.client.inspect.escalation(found.id)
    assert now is not None and now.state is EscalationState.WITHDRAWN


async def test_it_is_asked_once_however_often_it_is_taken_over(core: World) -> None:
    identity = await waiting(core)
    changed()
    for _ in range(3):
        await core.hand_over(identity)
        await core.state(identity, WorkflowState.NEEDS_HUMAN)
    await until(lambda: core.held(identity))
    assert len(await core.journal(identity, j.Escalated)) == 1
    began()
    await core.decide(await core.escalation(identity), "retry")
    await core.client.signal(identity, "go", "x")
    assert await core.client.result(identity, timeout_s=5) == [3, "x", 6]


async def test_a_program_that_waits_for_people_parks_and_comes_back(core: World, tune: Tune) -> None:
    core.config = tune(park_after_s=0.2)
    identity = await waiting(core)
    changed()
    await core.hand_over(identity)
    found = await core.escalation(identity)
    await until(lambda: not core.held(identity))
    began()
    await core.decide(found, "retry")
    await core.client.signal(identity, "go", "x")
    assert await core.client.result(identity, timeout_s=5) == [3, "x", 6]


async def test_a_program_that_takes_other_input_goes_to_people(core: World) -> None:
    identity = await waiting(core)
    other_input()
    await core.hand_over(identity)
    found = await core.escalation(identity)
    assert found.reason is Reason.WORKFLOW_CODE_CHANGED and "does not fit" in found.question
    began()
    await core.decide(found, "retry")
    await core.client.signal(identity, "go", "x")
    assert await core.client.result(identity, timeout_s=5) == [3, "x", 6]


async def test_a_journal_with_a_hole_goes_to_people(core: World) -> None:
    identity = await waiting(core)
    await core.connection.call("XDEL", core.connection.keys.journal(identity), "2-0")
    holder = core.hosts[0]
    await holder.executions[identity].stop()
    found = await core.escalation(identity)
    assert "lacks 1 of its entries" in found.question
    await core.decide(found, "fail")
    with pytest.raises(WorkflowFailed):
        await core.client.result(identity, timeout_s=5)


async def test_a_full_journal_goes_to_people(core: World, tune: Tune) -> None:
    core.config = tune(journal_entries=10)

    class CoreEndless(DistributedCoordinator):
        async def run(self) -> None:
            while True:
                await self.progress("on and on")

    await core.host()
    identity = await core.client.submit("core_endless")
    found = await core.escalation(identity)
    assert "is full (10 entries)" in found.question
    await core.client.cancel(identity)
    await core.state(identity, WorkflowState.CANCELLED)


async def test_a_forbidden_await_fails_the_workflow_by_name(core: World) -> None:
    import asyncio

    class CoreForbidden(DistributedCoordinator):
        async def run(self) -> None:
            await asyncio.sleep(1)

    await core.host()
    with pytest.raises(WorkflowFailed, match=r"asyncio\.sleep.*Use self\.sleep\(\)"):
        await core.run("core_forbidden")


def version(number: int) -> type[DistributedCoordinator]:
    class CoreVersions(DistributedCoordinator):
        type_name = "core_versions"
        version = number

        async def run(self) -> int:
            await self.wait_for_signal("go")
            return number

    return CoreVersions


async def test_versions_keep_old_workflows_on_old_code(core: World) -> None:
    await core.host()
    version(1)
    old = await core.client.submit("core_versions")
    version(2)
    new = await core.client.submit("core_versions")
    for identity in (old, new):
        await core.client.signal(identity, "go")
    assert [await core.client.result(identity, timeout_s=5) for identity in (old, new)] == [1, 2]


async def test_a_workflow_without_code_waits_for_it_and_then_for_people(core: World, tune: Tune) -> None:
    core.config = tune(no_agent_s=1.0)
    version(1)
    identity = await core.client.submit("core_versions")
    patient = await core.client.submit("core_versions")
    await core.client.signal(identity, "go")
    lost = catalog.workflow_types().pop("core_versions")
    await core.host()
    found = await core.escalation(identity, within_s=8)
    assert "No host has code for version 1 of 'core_versions'" in found.question
    catalog.workflow_types()["core_versions"] = lost
    await core.decide(found, "retry")
    assert await core.client.result(identity, timeout_s=8) == 1
    await core.client.signal(patient, "go")
    if (await core.client.get(patient)).open_escalations:
        await core.decide(await core.escalation(patient), "retry", decision_id="d9")
    assert await core.client.result(patient, timeout_s=8) == 1


async def test_a_changed_program_may_begin_anew_from_a_step(core: World) -> None:
    identity = await waiting(core)
    changed()
    await core.hand_over(identity)
    found = await core.escalation(identity)
    await core.decide(found, "restart", {"step": "2"}, "d1")  # the first step still differs: asked again
    again = await core.escalation(identity, 2)
    assert (await core.client.get(identity)).open_escalations == 1
    await core.decide(again, "restart", {"step": "1"}, "d2")
    assert await core.client.result(identity, timeout_s=5) == [4]
    restarts = await core.journal(identity, j.Restarted)
    assert [(entry.step, entry.generation, entry.request_id) for entry in restarts] == [("2", 1, "d1"), ("1", 2, "d2")]


async def test_a_restart_withdraws_the_question_about_the_program(core: World) -> None:
    identity = await waiting(core)
    changed()
    await core.hand_over(identity)
    found = await core.escalation(identity)
    await core.client.commands.restart(identity, "1", actor="anna")
    assert await core.client.result(identity, timeout_s=10) == [4]
    now = await core.client.inspect.escalation(found.id)
    assert now is not None and now.state is EscalationState.WITHDRAWN
