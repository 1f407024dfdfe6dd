"""Every kind of handler, run by a real worker from a real queue."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from agents import AgentWorker
from agents.handlers import Handler
from agents.task import Task
from coordination import tasks
from coordination.config import Config
from coordination.connection import Connection
from coordination.errors import FinalError
from tests import agent_samples
from tests.agent_tasks import add, new_type, nothing_left, outcome, outcome_now, record, serving, until


@pytest.fixture
async def connection(config: Config) -> AsyncIterator[Connection]:
    async with await Connection.open(config) as opened:
        yield opened


@pytest.mark.parametrize("task_type", ["sample_echo", "sample_thread", "sample_subclass"])
async def test_a_task_is_done_once_and_its_entry_goes(config: Config, connection: Connection, task_type: str) -> None:
    async with serving(AgentWorker([task_type], config=config)) as worker:
        workflow = await add(connection, task_type, {"name": "lease"})
        done = await outcome(connection, workflow)
        assert done.value["title"].lower() == "lease"
        assert (await record(connection, workflow))[2] == "s"
        await until(lambda: nothing_left(connection, task_type))
        assert worker.ledger.known == set()


async def test_cpu_bound_work_runs_in_a_process_that_is_kept(config: Config, connection: Connection) -> None:
    async with serving(AgentWorker(["sample_cpu"], config=config, processes=1)):
        first = (await outcome(connection, await add(connection, "sample_cpu", 3), 30)).value
        second = (await outcome(connection, await add(connection, "sample_cpu", 4), 30)).value
    assert first["title"] == "3 pages"
    assert first["pid"] == second["pid"] != os.getpid()


async def test_a_process_that_dies_fails_its_task_only(config: Config, connection: Connection) -> None:
    async with serving(AgentWorker(["sample_cpu"], config=config, processes=2)):
        dies, lives = await add(connection, "sample_cpu", -1), await add(connection, "sample_cpu", 5)
        error = (await outcome(connection, dies, 30)).error
        assert (error.kind, error.retryable) == ("ProcessDied", True)
        assert "exit code 7" in error.message
        assert (await outcome(connection, lives, 30)).value["title"] == "5 pages"


async def test_a_hung_process_is_killed_at_its_time_limit(config: Config, connection: Connection) -> None:
    async with serving(AgentWorker(["sample_cpu"], config=config, processes=1)) as worker:
        first = (await outcome(connection, await add(connection, "sample_cpu", 1), 30)).value
        error = (await outcome(connection, await add(connection, "sample_cpu", 0, timeout_s=0.5), 30)).error
        assert error.kind == "Timeout"
        assert "progress report" in error.message
        await until(lambda: _gone(first["pid"]))
        assert (await outcome(connection, await add(connection, "sample_cpu", 2), 30)).value["pid"] != first["pid"]
        assert worker.ledger.in_processes == 0


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("how", "kind", "retryable", "words"),
    [
        ("final", "FinalError", False, "the document has no pages"),
        ("retryable", "RetryableError", True, "the service is busy"),
        ("shape", "InvalidResult", True, "another shape"),
        ("large", "InvalidResult", True, "the limit is 1,048,576"),
        ("raise", "ValueError", True, "<script>alert(1)</script>"),
    ],
)
async def test_failures_are_told(
    config: Config, connection: Connection, how: str, kind: str, retryable: bool, words: str
) -> None:
    async with serving(AgentWorker(["sample_fails"], config=config)) as worker:
        workflow = await add(connection, "sample_fails", how)
        entry = (await outcome(connection, workflow)).errors[0]
        assert (entry.error.kind, entry.error.retryable) == (kind, retryable)
        assert words in entry.error.message
        assert entry.retry_after_s == (2.5 if how == "retryable" else None)
        assert worker.ledger.failed == 1
        await until(lambda: nothing_left(connection, "sample_fails"))


async def test_an_input_that_does_not_fit_fails_for_good(config: Config, connection: Connection) -> None:
    async with serving(AgentWorker(["sample_echo", "sample_cpu"], config=config)):
        error = (await outcome(connection, await add(connection, "sample_echo", {"name": 3}))).error
        assert (error.kind, error.retryable) == ("InvalidInput", False)
        assert "Expected `str`, got `int` at `name`" in error.message
        error = (await outcome(connection, await add(connection, "sample_cpu", "three"))).error
        assert error.kind == "InvalidInput"


async def test_a_handler_that_never_answers_times_out_from_its_claim(config: Config, connection: Connection) -> None:
    async with serving(AgentWorker(["sample_slow"], config=config)) as worker:
        error = (await outcome(connection, await add(connection, "sample_slow", 60, timeout_s=0.3))).error
        assert (error.kind, error.message) == ("Timeout", "The agent did not finish within 0.3 s of its claim.")
        await until(lambda: not worker.ledger.running)


async def test_a_thread_that_never_ends_keeps_its_slot_but_not_its_task(config: Config, connection: Connection) -> None:
    import threading

    release = threading.Event()

    def stuck(seconds: float) -> int:
        release.wait(30)
        return 1

    name = new_type()
    async with serving(AgentWorker(config=config, handlers=[Handler(name, stuck)], concurrency=2)) as worker:
        error = (await outcome(connection, await add(connection, name, 1, timeout_s=0.3))).error
        assert error.kind == "Timeout"
        assert await until(lambda: worker.ledger.abandoned == 1)
        assert worker.ledger.free() == 1
        release.set()
        await until(lambda: worker.ledger.abandoned == 0)


async def test_cancelling_reaches_a_running_handler(config: Config, connection: Connection) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def long(task: Task) -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            assert task.cancelled
            ended.set()

    name = new_type()
    async with serving(AgentWorker(config=config, handlers=[Handler(name, long)])) as worker:
        workflow = await add(connection, name)
        await began.wait()
        withdrawn = ":".join(["0", "1", "x", *(await record(connection, workflow))[3:]])
        await connection.call("HSET", connection.keys.workflow(workflow), "t:0", withdrawn)
        await asyncio.wait_for(ended.wait(), 5)
        await until(lambda: nothing_left(connection, name))
        assert (await outcome_now(connection, workflow)).errors == []
        assert not worker.ledger.running


async def test_a_task_that_goes_on_renews_and_tells_its_progress(config: Config, connection: Connection) -> None:
    stop = asyncio.Event()

    async def long(task: Task) -> str:
        for page in range(1, 1000):
            await task.progress(page / 1000, f"page {page}")
            try:
                await asyncio.wait_for(stop.wait(), 0.1)
                break
            except TimeoutError:
                continue
        return "done"

    name = new_type()
    async with serving(AgentWorker(config=config, handlers=[Handler(name, long)])):
        workflow = await add(connection, name, timeout_s=1.0)
        key = connection.keys.workflow(workflow)
        await until(lambda: connection.call("HGET", key, "p:0"))
        first = int((await record(connection, workflow))[5])
        later = await until(lambda: _deadline_after(connection, workflow, first + 2_000))
        assert later - first >= 2_000  # three times the limit of one second, and still at it
        shown = await connection.call("HGET", key, "p:0")
        assert b"page " in shown
        stop.set()
        assert (await outcome(connection, workflow)).value == "done"
        assert await connection.call("HGET", key, "p:0") is None


@pytest.mark.once
async def test_words_that_cannot_be_stored_cost_nobody_but_their_attempt(
    config: Config, connection: Connection
) -> None:
    stop = asyncio.Event()

    class Mute(Exception):
        def __str__(self) -> str:
            raise LookupError

    class Careless(FinalError):
        def __init__(self, file: str) -> None:
            self.file = file

    async def strange(task: Task, how: str) -> object:
        if how == "raise":
            raise ValueError("cannot open b\udcff.txt")
        if how == "return":
            return {"file": "b\udcff.txt"}
        if how == "mute":
            raise Mute
        if how == "careless":
            raise Careless("a.txt")
        await task.progress(0.1, "b\udcff.txt")
        if how == "by hand":
            task.note = "b\udcff.txt"
        await stop.wait()
        return "done"

    name = new_type()
    async with serving(AgentWorker(config=config, handlers=[Handler(name, strange)])):
        long = [await add(connection, name, how) for how in ("by hand", "tell")]
        for how, kind, words in [
            ("raise", "ValueError", r"cannot open b\udcff.txt"),
            ("mute", "Mute", "Mute"),
            ("return", "InvalidResult", "a value that JSON cannot carry"),
            ("careless", "AttributeError", "The agent broke off: 'Careless' object has no attribute 'details'"),
        ]:
            error = (await outcome(connection, await add(connection, name, how))).error
            assert (error.kind, words in error.message) == (kind, True), error
        shown = await until(lambda: connection.call("HGET", connection.keys.workflow(long[1]), "p:0"))
        assert shown == rb'[0.1,"b\\udcff.txt"]'
        stop.set()
        assert [(await outcome(connection, workflow)).value for workflow in long] == ["done", "done"]


async def _deadline_after(connection: Connection, workflow: str, at_ms: int) -> int:
    deadline = int((await record(connection, workflow))[5])
    return deadline if deadline > at_ms else 0


async def test_the_delivery_says_which_attempt_it_is(config: Config, connection: Connection) -> None:
    seen: list[Task] = []

    async def look(task: Task) -> None:
        seen.append(task)

    name = new_type()
    async with serving(AgentWorker(config=config, handlers=[Handler(name, look)])):
        workflow = await add(connection, name, number=3)
        await outcome(connection, workflow)
    assert (seen[0].number, seen[0].idempotency_key) == (3, f"{workflow}:0:0")
    assert tasks.MOST_CLAIMS > 1


async def test_the_sample_types_are_all_declared() -> None:
    assert agent_samples.SampleSubclass.task_type == "sample_subclass"
