"""Programs run without an event loop, give calls their identity by branch, and refuse what is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from coordination.calls import Call, GatherCall, SleepCall
from coordination.errors import ForbiddenAwait
from coordination.program import Program


def started(main: Coroutine[Any, Any, Any]) -> Program:
    program = Program(main)
    program.run_on()
    return program


def answered(program: Program, *answers: tuple[str, Any]) -> Program:
    for call_id, value in answers:
        assert program.answer(call_id, value)
        program.run_on()
    return program


def step() -> Call:
    return SleepCall(1)


def gather(*members: Any) -> GatherCall:
    return GatherCall(members)


async def test_steps_are_named_by_branch_and_order() -> None:
    async def pair() -> tuple[Any, ...]:
        return await step(), await gather(step(), step())

    async def main() -> Any:
        first = await step()
        return first, await gather(pair(), step()), await step()

    program = started(main())
    assert list(program.waiting) == ["1"]
    answered(program, ("1", "a"))
    assert list(program.waiting) == ["2.1.1", "2.0.1"] or list(program.waiting) == ["2.0.1", "2.1.1"]
    answered(program, ("2.1.1", "d"), ("2.0.1", "b"))
    assert set(program.waiting) == {"2.0.2.0.1", "2.0.2.1.1"}
    answered(program, ("2.0.2.1.1", "y"), ("2.0.2.0.1", "x"))
    assert list(program.waiting) == ["3"]
    answered(program, ("3", "e"))
    assert program.done and program.value == ("a", (("b", ("x", "y")), "d"), "e")


async def test_identity_does_not_depend_on_the_order_of_answers() -> None:
    async def branch(number: int) -> list[Any]:
        return [await step() for _ in range(number)]

    async def main() -> Any:
        return await gather(branch(2), branch(3))

    orders = (
        ["1.0.1", "1.0.2", "1.1.1", "1.1.2", "1.1.3"],
        ["1.1.1", "1.0.1", "1.1.2", "1.1.3", "1.0.2"],
    )
    for order in orders:
        program = answered(started(main()), *((call_id, call_id) for call_id in order))
        assert program.value == (["1.0.1", "1.0.2"], ["1.1.1", "1.1.2", "1.1.3"])


async def test_the_same_call_awaited_again_is_another_step() -> None:
    async def main() -> Any:
        call = step()
        return await gather(call, call), await call

    program = started(main())
    assert [call.id for call in program.issued] == ["1.0.1", "1.1.1"]
    answered(program, ("1.0.1", 1), ("1.1.1", 2), ("2", 3))
    assert program.value == ((1, 2), 3)


async def test_gather_waits_for_all_and_raises_the_first_error() -> None:
    async def fails(words: str) -> None:
        await step()
        raise ValueError(words)

    seen: list[str] = []

    async def main() -> None:
        try:
            await gather(fails("one"), fails("two"), step())
        except ValueError as error:
            seen.append(str(error))

    program = started(main())
    answered(program, ("1.1.1", None), ("1.0.1", None))
    assert not program.done
    answered(program, ("1.2.1", None))
    assert program.done and program.error is None and seen == ["two"]


async def test_gather_takes_what_is_no_awaitable_as_an_error_of_run() -> None:
    async def main() -> None:
        await gather(1, step())

    program = answered(started(main()), ("1.1.1", None))
    assert isinstance(program.error, TypeError)


async def test_an_answer_that_nobody_waits_for_is_told() -> None:
    async def main() -> None:
        await step()

    program = started(main())
    assert not program.answer("7", None)
    assert program.answer("1", None) and not program.answer("1", None)


# --- what run() must not do ---------------------------------------------------------


async def _sleep() -> None:
    await asyncio.sleep(1)


async def _sleep_zero() -> None:
    await asyncio.sleep(0)


async def _wait_for() -> None:
    await asyncio.wait_for(step(), 1)


async def _create_task() -> None:
    await asyncio.create_task(_sleep())


async def _gather() -> None:
    await asyncio.gather(_sleep(), _sleep())


async def _timeout() -> None:
    async with asyncio.timeout(1):
        await step()


async def _event() -> None:
    await asyncio.Event().wait()


async def _to_thread() -> None:
    await asyncio.to_thread(print)


async def _open_connection() -> None:
    await asyncio.open_connection("127.0.0.1", 9)


FORBIDDEN = {
    "asyncio.sleep": [_sleep, _sleep_zero],
    "asyncio.wait_for": [_wait_for],
    "asyncio.create_task": [_create_task],
    "asyncio.GatheringFuture": [_gather],
    "asyncio.timeout": [_timeout],
    "asyncio.Event.wait": [_event],
    "asyncio.to_thread": [_to_thread],
    "asyncio.open_connection": [_open_connection],
}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("name", "main"), [(name, main) for name, mains in FORBIDDEN.items() for main in mains])
async def test_awaiting_what_is_not_ours_is_refused_by_name(name: str, main: Any) -> None:
    program = started(main())
    assert program.done and isinstance(program.error, ForbiddenAwait)
    assert f"({name})" in str(program.error) or (main is _gather and "gather" in str(program.error))
    assert "Use self.sleep() instead of asyncio.sleep()" in str(program.error)


async def test_a_future_of_somebody_else_is_refused() -> None:
    foreign: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def main() -> None:
        await foreign

    program = started(main())
    assert isinstance(program.error, ForbiddenAwait) and "(asyncio.Future)" in str(program.error)
    assert not foreign.cancelled()


async def test_the_loop_is_there_again_after_each_run() -> None:
    async def main() -> None:
        raise ValueError

    started(main())
    assert asyncio.get_running_loop()
    await asyncio.sleep(0)


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), ValueError("x"), StopAsyncIteration()])
async def test_whatever_run_raises_ends_the_workflow_and_not_the_host(error: BaseException) -> None:
    async def main() -> None:
        await step()
        raise error

    program = answered(started(main()), ("1", None))
    assert program.done and program.error is error


async def test_ctrl_c_is_the_hosts() -> None:
    async def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        started(main())


# --- giving up ------------------------------------------------------------------------


async def test_closing_ends_every_branch_the_innermost_first() -> None:
    closed: list[str] = []

    async def branch(name: str) -> None:
        try:
            await step()
        finally:
            closed.append(name)

    async def main() -> None:
        try:
            await gather(branch("a"), branch("b"))
        finally:
            closed.append("main")

    started(main()).close()
    assert set(closed) == {"a", "b", "main"} and closed.index("a") < closed.index("main")


async def test_a_program_that_awaits_while_it_is_closed_harms_nobody() -> None:
    async def main() -> None:
        try:
            await step()
        finally:
            await step()

    started(main()).close()


async def test_a_program_that_never_ran_is_closed_without_a_warning() -> None:
    async def main() -> None:
        await step()

    Program(main()).close()


async def test_ending_from_outside_answers_nothing_more() -> None:
    async def main() -> None:
        await step()

    program = started(main())
    program.end(ValueError("enough"))
    assert program.done and isinstance(program.error, ValueError) and not program.answer("1", None)
