"""Real worker processes that are killed, stopped, frozen and told to end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coordination.config import Config
from coordination.connection import Connection
from tests.agent_tasks import add, nothing_left, outcome, outcome_now, process, record, until

pytestmark = pytest.mark.once

SAMPLES = ("--module", "tests.agent_samples")


@pytest.fixture
async def connection(config: Config) -> AsyncIterator[Connection]:
    async with await Connection.open(config) as opened:
        yield opened


async def claimed_by(connection: Connection, workflow: str) -> str:
    """The agent that runs a task, once one does."""

    async def look() -> str:
        _, _, state, _, _, _, agent = await record(connection, workflow)
        return agent if state == "c" else ""

    found = await until(look)
    assert isinstance(found, str)
    return found


async def registered(connection: Connection) -> dict[str, Any]:
    """Instance name to registration."""
    flat = await connection.call("HGETALL", connection.keys.agents)
    return {key.decode(): json.loads(value) for key, value in zip(flat[::2], flat[1::2], strict=True)}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_dead_agents_tasks_are_taken_over_promptly(
    config: Config, connection: Connection, number: signal.Signals
) -> None:
    async with process(config, *SAMPLES, "--name", "first") as first:
        workflows = [await add(connection, "sample_slow", 20) for _ in range(8)]
        for workflow in workflows:
            assert (await claimed_by(connection, workflow)).startswith("first-")
        async with process(config, *SAMPLES, "--name", "second"):
            first.send_signal(number)
            struck = time.monotonic()
            for workflow in workflows:
                await until(lambda workflow=workflow: _is_with(connection, workflow, "second-"), 15)
            took_s = time.monotonic() - struck
            print(f"{number.name}: 8 tasks taken over {took_s:.2f} s after the signal")
            assert took_s < 4.5  # suspicion of 4 beats of 0.5 s, and a beat to look
            assert (await record(connection, workflows[0]))[3] == "2"  # claims: this one ended one agent
            if number is signal.SIGSTOP:  # it wakes as another incarnation and stops what it has lost
                before = {name for name in await registered(connection) if name.startswith("first-")}
                assert before == set()
                first.send_signal(signal.SIGCONT)
                await until(lambda: _knows_a(connection, "first-"))
                assert (await record(connection, workflows[0]))[6].startswith("second-")


async def _is_with(connection: Connection, workflow: str, name: str) -> bool:
    return (await record(connection, workflow))[6].startswith(name)


async def _knows_a(connection: Connection, name: str) -> bool:
    return any(found.startswith(name) for found in await registered(connection))


async def test_a_slow_but_living_agent_is_not_robbed(config: Config, connection: Connection) -> None:
    """Eight seconds are four times as long as it takes to declare an agent dead; entries age meanwhile."""
    async with process(config, *SAMPLES, "--name", "slow") as slow:
        workflow = await add(connection, "sample_slow", 8)
        assert (await claimed_by(connection, workflow)).startswith("slow-")
        async with process(config, *SAMPLES, "--name", "quick"):
            done = await outcome(connection, workflow, 20)
            assert done.value == slow.pid
            assert (await record(connection, workflow))[3] == "1"
            await until(lambda: nothing_left(connection, "sample_slow"))


async def test_sigterm_gives_back_what_does_not_end_in_time(config: Config, connection: Connection) -> None:
    async with process(config, *SAMPLES, "--name", "leaving", GANGLION_DRAIN_S="1.5") as leaving:
        quick, long = await add(connection, "sample_slow", 1), await add(connection, "sample_slow", 5)
        for workflow in (quick, long):
            await claimed_by(connection, workflow)
        leaving.send_signal(signal.SIGTERM)
        told = time.monotonic()
        late = await add(connection, "sample_slow", 0)
        assert await asyncio.wait_for(leaving.wait(), 10) == 0
        took_s = time.monotonic() - told
        print(f"SIGTERM: ended after {took_s:.2f} s with drain_s=1.5")
        assert took_s < 4
        assert (await outcome_now(connection, quick)).value == leaving.pid
        assert (await record(connection, long))[2:4] == ["q", "0"]  # given back, and counts as no claim
        assert await registered(connection) == {}
        async with process(config, *SAMPLES, "--name", "next") as following:
            # it may be taken before the signal is seen; either way it is not lost
            assert (await outcome(connection, late)).value in (leaving.pid, following.pid)
            assert (await outcome(connection, long, 15)).value == following.pid


async def test_sigterm_without_work_ends_quickly(config: Config, connection: Connection) -> None:
    async with process(config, *SAMPLES) as worker:
        worker.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert await asyncio.wait_for(worker.wait(), 5) == 0
        print(f"SIGTERM: an idle worker ended after {time.monotonic() - began:.2f} s")


async def test_killed_with_its_cpu_bound_child_leaves_no_process(config: Config, connection: Connection) -> None:
    async with process(config, *SAMPLES) as worker:
        done = await outcome(connection, await add(connection, "sample_cpu", 2), 30)
        child = done.value["pid"]
        assert child != worker.pid
        worker.kill()
        await worker.wait()
        await until(lambda: not os.path.exists(f"/proc/{child}") or _is_zombie(child))


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_the_registry_says_what_a_worker_is(config: Config, connection: Connection) -> None:
    async with process(config, *SAMPLES, "--name", "shown", "--concurrency", "7") as worker:
        ((name, entry),) = (await registered(connection)).items()
    assert name.startswith("shown-")
    assert (entry["types"][:2], entry["concurrency"], entry["pid"]) == (["sample_echo", "sample_none"], 7, worker.pid)
    assert entry["capabilities"]["sample_echo"] == {"kind": ["nda", "lease"]}
    assert entry["version"] == "3"
    assert entry["schemas"]["sample_echo"]["input"]["$defs"]["Document"]["required"] == ["name"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample_ecko"], "Did you mean 'sample_echo'?"),
        ([], "Name the task types to serve."),
        (["--module", "tests.agent_tasks"], "it declares no agents"),
        (["--module", "no.such.module"], "it cannot be imported"),
        (["sample_echo", "--concurrency", "0"], "--concurrency must be at least 1"),
        (["sample_echo", "--name", "a b"], "is no name for an agent"),
        (["--gateway", "sample_echo"], "name no types with it"),
    ],
)
async def test_wrong_settings_end_it_with_one_line(config: Config, arguments: list[str], words: str) -> None:
    ended = await asyncio.create_subprocess_exec(
        sys.executable, "-c",
        "import sys, manage, tests.agent_samples; sys.argv[1:1] = ['run_agent']; manage.main()", *arguments,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await asyncio.wait_for(ended.communicate(), 30)
    assert ended.returncode == 2, said.decode()
    assert words in said.decode()
    assert said.decode().strip().count("\n") == 0
