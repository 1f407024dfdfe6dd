"""Questions that run() asks people."""

from __future__ import annotations

import msgspec
import pytest

from coordination import DistributedCoordinator
from coordination.client import WorkflowFailed
from coordination.domain import EscalationState, Reason, StepKind, StepState, WorkflowState
from tests.core_harness import World


class Party(msgspec.Struct):
    name: str
    role: str = "tenant"


class CoreQuestion(DistributedCoordinator):
    async def run(self, document: str) -> Party:
        answer: Party = await self.ask_human(
            "Who is the tenant?", returns=Party, context={"document": document}, label="missing party"
        )
        return answer


class CoreTwoQuestions(DistributedCoordinator):
    async def run(self) -> list[str]:
        return list(await self.gather(self.ask_human("One?", returns=str), self.ask_human("Two?", returns=str)))


async def test_the_answer_is_what_run_gets(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_question", "lease.pdf")
    found = await core.escalation(identity)
    assert (found.reason, found.question) == (Reason.HUMAN_INPUT_REQUESTED, "Who is the tenant?")
    assert found.input == {"document": "lease.pdf"} and "Party" in str(found.output_schema)
    assert found.task_type == "missing party"
    view = (await core.steps(identity))["1"]
    assert (view.kind, view.state, view.escalation_id) == (StepKind.HUMAN, StepState.ESCALATED, found.id)
    await core.decide(found, "supply", {"name": "Ada"})
    assert await core.client.result(identity, timeout_s=5) == Party("Ada")


async def test_an_answer_that_does_not_fit_is_asked_again(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_question", "lease.pdf")
    await core.decide(await core.escalation(identity), "supply", {"nickname": "Ada"})
    again = await core.escalation(identity, 2)
    assert "does not fit" in again.errors[0].message and "name" in again.errors[0].message
    assert again.question == "Who is the tenant?"
    await core.decide(again, "supply", {"name": "Ada"})
    assert await core.client.result(identity, timeout_s=5) == Party("Ada")


@pytest.mark.parametrize("action", ["retry", "edit"])
async def test_a_question_cannot_be_retried_so_it_is_asked_again(core: World, action: str) -> None:
    await core.host()
    identity = await core.client.submit("core_question", "x")
    await core.decide(await core.escalation(identity), action, {"name": "nobody"})
    again = await core.escalation(identity, 2)
    assert again.state is EscalationState.OPEN and "wants an answer" in again.errors[0].message
    await core.decide(again, "fail")
    with pytest.raises(WorkflowFailed):
        await core.client.result(identity, timeout_s=5)


async def test_a_question_asked_again_survives_a_takeover(core: World) -> None:
    host = await core.host()
    identity = await core.client.submit("core_question", "x")
    await core.decide(await core.escalation(identity), "supply", 5)
    again = await core.escalation(identity, 2)
    await core.state(identity, WorkflowState.NEEDS_HUMAN)
    await host.executions[identity].stop()
    await core.host("second")
    await core.decide(again, "supply", {"name": "Eve"})
    assert await core.client.result(identity, timeout_s=5) == Party("Eve")


async def test_two_questions_at_once(core: World) -> None:
    await core.host()
    identity = await core.client.submit("core_two_questions")
    first, second = await core.escalation(identity, 1), await core.escalation(identity, 2)
    assert (await core.client.get(identity)).open_escalations == 2
    await core.decide(second, "supply", "b", "d2")
    assert (await core.client.get(identity)).state is WorkflowState.NEEDS_HUMAN
    await core.decide(first, "supply", "a", "d1")
    answers = {found.step: value for found, value in ((first, "a"), (second, "b"))}
    result = await core.client.result(identity, timeout_s=5)
    assert result == [answers["1.0.1"], answers["1.1.1"]]
