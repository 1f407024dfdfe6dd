"""Tasks as coordinators add them, and what became of them, on a real server, for tests of agents."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from agents import AgentWorker
from coordination import journal, tasks
from coordination.config import Config
from coordination.connection import Connection
from coordination.streams import ensure_group

_numbers = itertools.count()


class Outcome(msgspec.Struct):
    """What the journal of a task's workflow says."""

    values: list[Any]
    errors: list[journal.Erred]

    @property
    def value(self) -> Any:
        assert len(self.values) == 1, (self.values, self.errors)
        return self.values[0]

    @property
    def error(self) -> Any:
        assert len(self.errors) == 1 and not self.values, (self.values, self.errors)
        return self.errors[0].error


def new_type(name: str = "work") -> str:
    """A task type that no other test uses."""
    return f"{name}_{uuid.uuid4().hex[:8]}_{next(_numbers)}"


async def add(
    connection: Connection,
    task_type: str,
    payload: Any = None,
    *,
    workflow_id: str = "",
    number: int = 1,
    priority: str = "normal",
    timeout_s: float = 30.0,
    requires: dict[str, str] | None = None,
    queue: str = "",
    fresh: bool = True,
    group: bool = True,
) -> str:
    """Add a task as a coordinator does; returns its workflow's id."""
    workflow_id = workflow_id or f"w{uuid.uuid4().hex[:12]}"
    if fresh:
        record = f"0:{number}:q:0:0:0:"
        await connection.call(
            "HSET", connection.keys.workflow(workflow_id), "state", "running", "owner", "", "seq", 0, "t:0", record
        )
    keys = connection.keys
    sent = msgspec.json.encode(payload)
    entry = tasks.fields(keys, workflow_id, "0", 0, number, task_type, sent, timeout_s, requires)
    queue = queue or connection.keys.agent_queue(task_type, priority)
    if group:
        await ensure_group(connection, queue, "agents")
    await connection.call("XADD", queue, "*", *entry)
    return workflow_id


async def outcome(connection: Connection, workflow_id: str, within_s: float = 10.0) -> Outcome:
    """Wait for a task's first outcome, on the journal itself."""
    key = connection.keys.journal(workflow_id)
    async with asyncio.timeout(within_s):
        while not await connection.call("EXISTS", key):
            await connection.blocking("XREAD", "COUNT", 1, "BLOCK", 200, "STREAMS", key, "0")
    return await outcome_now(connection, workflow_id)


async def outcome_now(connection: Connection, workflow_id: str) -> Outcome:
    """A task's outcomes so far."""
    entries = journal.parse(await connection.call("XRANGE", connection.keys.journal(workflow_id), "-", "+"))
    return Outcome(
        [msgspec.json.decode(e.entry.value) for e in entries if isinstance(e.entry, journal.Settled)],
        [e.entry for e in entries if isinstance(e.entry, journal.Erred)],
    )


async def until(check: Callable[[], Awaitable[Any]] | Callable[[], Any], within_s: float = 10.0) -> Any:
    """Wait until a condition about the outside world holds; asked every 20 ms, bounded."""
    async with asyncio.timeout(within_s):
        while True:
            found = check()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


async def record(connection: Connection, workflow_id: str) -> list[str]:
    """The task's record: generation, number, state, claims, claimed_ms, deadline_ms, agent."""
    raw = await connection.call("HGET", connection.keys.workflow(workflow_id), "t:0")
    assert isinstance(raw, bytes)
    return raw.decode().split(":", 6)


async def beaten(connection: Connection, worker: AgentWorker, times: int = 2) -> None:
    """Wait until a worker has beaten so many times, and so knows what operators want of it."""

    async def count() -> int:
        beat = await connection.call("HGET", connection.keys.agent_beats, worker.instance)
        return int(beat.partition(b":")[0])

    before = await count()
    while await count() < before + times:
        await asyncio.sleep(0.05)


async def nothing_left(connection: Connection, task_type: str) -> bool:
    """Whether the shared queues hold nothing, delivered or not."""
    for priority in ("high", "normal", "low"):
        if await connection.call("XLEN", connection.keys.agent_queue(task_type, priority)):
            return False
    return True


@contextlib.asynccontextmanager
async def serving(worker: AgentWorker) -> AsyncIterator[AgentWorker]:
    """Run a worker in this loop until the block ends, then stop it in order."""
    ready = asyncio.Event()
    worker._ready = ready.set
    job = asyncio.create_task(worker.run(), name="worker under test")
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([job, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=15)
    waiting.cancel()
    if job.done():
        await job
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(job, worker.config.drain_s + 15)


@contextlib.asynccontextmanager
async def process(config: Config, *arguments: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real ``manage.py run_agent`` process; killed at the end if it still runs."""
    reading, writing = os.pipe()
    started = await asyncio.create_subprocess_exec(
        sys.executable, "manage.py", "run_agent", *arguments,
        env={
            **os.environ, "REDIS_URL": config.redis_url, "GANGLION_PREFIX": config.prefix,
            "GANGLION_HOME": str(config.home), "GANGLION_READY_FD": str(writing),
            "DJANGO_SETTINGS_MODULE": "config.settings", **environ,
        },
        pass_fds=(writing,), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(writing)
    loop = asyncio.get_running_loop()
    try:
        said = await asyncio.wait_for(loop.run_in_executor(None, os.read, reading, 1), 30)
        if not said:
            assert started.stderr is not None
            raise AssertionError((await started.stderr.read()).decode())
        yield started
    finally:
        os.close(reading)
        if started.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                started.send_signal(signal.SIGCONT)
                started.kill()
        await started.wait()
