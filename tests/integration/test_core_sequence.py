"""Steps one after the other and side by side, with typed values."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from coordination import DistributedCoordinator
from coordination.domain import StepState, WorkflowState
from tests.core_app.agents import Document, Facts, calls
from tests.core_harness import World


class Review(msgspec.Struct):
    facts: Facts
    total: int


class CoreSequence(DistributedCoordinator):
    async def run(self, document: Document) -> Review:
        facts = await self.dispatch_task("core_facts", document)
        assert isinstance(facts, Facts)
        first, second = await self.gather(
            self.dispatch_task("core_add", [facts.pages, 1]),
            self._twice(facts.pages),
        )
        return Review(facts, first + second)

    async def _twice(self, number: int) -> int:
        one = await self.dispatch_task("core_add", [number])
        two: int = await self.dispatch_task("core_add", [number, one])
        return two


async def test_sequence_and_gather_give_typed_results(core: World) -> None:
    await core.host()
    await core.agents()
    review = await core.run("core_sequence", Document("nda", 3))
    assert review == Review(Facts("NDA", 3), 4 + 6)


async def test_two_hundred_run_together_and_each_step_runs_once(core: World) -> None:
    await core.host()
    await core.agents()
    reviews = await asyncio.gather(
        *(core.run("core_sequence", Document("a", number), timeout_s=30) for number in range(200))
    )
    assert [review.total for review in reviews] == [3 * number + 1 for number in range(200)]
    assert len(calls) == 800 and set(calls.values()) == {1}
    assert not core.hosts[0].executions


async def test_steps_are_shown_with_input_output_and_agent(core: World) -> None:
    await core.host()
    await core.agents()
    identity = await core.client.submit("core_sequence", {"name": "x", "pages": 2}, labels={"batch": "7"})
    await core.client.result(identity, timeout_s=10)
    steps = await core.steps(identity)
    assert list(steps) == ["1", "2.0.1", "2.1.1", "2.1.2"]
    assert all(view.state is StepState.SUCCEEDED for view in steps.values())
    assert steps["1"].input == {"name": "x", "pages": 2}
    assert steps["1"].output == {"title": "X", "pages": 2}
    assert steps["1"].attempts[0].agent
    snapshot = await core.client.get(identity)
    assert (snapshot.state, snapshot.steps_total, snapshot.steps_done) == (WorkflowState.COMPLETED, 4, 4)
    assert snapshot.labels == {"batch": "7"} and snapshot.finished_ms >= snapshot.started_ms >= snapshot.created_ms


class CoreSameCallTwice(DistributedCoordinator):
    async def run(self) -> list[int]:
        call = self.dispatch_task("core_add", [1, 2])
        together = await self.gather(call, call)
        return [*together, await call]


async def test_a_call_awaited_again_is_another_step(core: World) -> None:
    await core.host()
    await core.agents()
    assert await core.run("core_same_call_twice", timeout_s=5) == [3, 3, 3]
    assert len(calls) == 3


class CoreEmpty(DistributedCoordinator):
    async def run(self) -> tuple[int, ...]:
        return await self.gather()


async def test_a_gather_of_nothing_gives_nothing(core: World) -> None:
    await core.host()
    assert await core.run("core_empty") == ()


NO_TEXT = "b\udcff.txt"  # as os.listdir gives a name that is not UTF-8


class Mute(Exception):
    def __str__(self) -> str:
        raise LookupError


class CoreNoText(DistributedCoordinator):
    async def run(self, how: str) -> Any:
        if how == "mute":
            raise Mute
        if how == "raise":
            raise ValueError(f"cannot open {NO_TEXT}")
        if how == "record":
            await self.record("first", lambda: NO_TEXT)
        if how == "dispatch":
            await self.dispatch_task("core_facts", {"name": NO_TEXT})
        if how == "child":
            await self.start_child(NO_TEXT)
        if how == "ask":
            await self.ask_human("Which?", schema={"enum": [NO_TEXT]})
        if how == "tell":
            await self.progress(NO_TEXT)
            return await self.record(f"size of {NO_TEXT}", lambda: 3)
        return {"deep": _deep(5_000)} if how == "deep" else {"file": NO_TEXT}


def _deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.once
async def test_words_that_cannot_be_stored_never_keep_a_workflow_from_ending(core: World) -> None:
    await core.host()
    assert await core.run("core_no_text", "tell") == 3
    for how, kind, words in [
        ("raise", "ValueError", r"cannot open b\udcff.txt"),
        ("mute", "Mute", ""),
        ("return", "InvalidPayload", "The result cannot be written as JSON"),
        ("deep", "InvalidPayload", "The result cannot be written as JSON"),
        ("record", "StepFailed", "record 'first' failed"),
        ("dispatch", "InvalidPayload", "cannot be written as JSON"),
        ("child", "ChildFailed", "udcff.txt"),
        ("ask", "InvalidPayload", "The schema of a question"),
    ]:
        identity = await core.client.submit("core_no_text", how)
        error = (await core.state(identity, "failed", within_s=3)).error
        assert error is not None and (error.kind, words in error.message) == (kind, True), (how, error)


class CoreNoTime(DistributedCoordinator):
    async def run(self, how: str) -> Any:
        endless = float("inf")
        if how == "sleep":
            return await self.sleep(float("nan"))
        if how == "signal":
            return await self.wait_for_signal("go", timeout_s=endless)
        return await self.dispatch_task("core_tick", 1, **{how: endless})


@pytest.mark.once
@pytest.mark.parametrize("how", ["sleep", "signal", "timeout_s", "queue_timeout_s"])
async def test_a_time_that_never_comes_ends_the_workflow_with_what_is_wrong(core: World, how: str) -> None:
    await core.host()
    error = (await core.state(await core.client.submit("core_no_time", how), "failed", within_s=3)).error
    assert error is not None and "is no number of seconds" in error.message
