"""What coordinators cost that mostly wait: memory in the hosts and in the server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

import uvloop

from bench.processes import rss_bytes
from bench.stack import ROOT, Stack, StackFailed

PAYLOADS_BYTES = 3 * 300  # the input, what the first step was given, what it returned


@dataclass(frozen=True)
class Memory:
    """Memory of coordinators in flight that wait.

    Attributes:
        workflows: How many.
        host_bytes: For each, in the hosts together.
        server_bytes: For each, in the server, its payloads of 900 bytes included.
        hosts_mb: The hosts with all of them.
    """

    workflows: int
    host_bytes: int
    server_bytes: int
    hosts_mb: float

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return {**asdict(self), "payload_bytes": PAYLOADS_BYTES}


def measure(stack: Stack, workflows: int) -> Memory:
    """Let so many workflows wait at the same time, and see what they take. The stack must be fresh."""
    hosts = [process.pid for process in stack.processes if process.name.startswith("coordinator-")]
    with subprocess.Popen(
        [sys.executable, "-m", "bench.memory", str(workflows)], cwd=ROOT, env=stack.client_environ,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as client:  # fmt: skip
        assert client.stdin is not None and client.stdout is not None and client.stderr is not None
        try:
            server_before = _number(client.stdout.readline(), client.stderr)
            before = sum(map(rss_bytes, hosts))
            client.stdin.write("go\n")
            client.stdin.flush()
            server_after = _number(client.stdout.readline(), client.stderr)
            after = sum(map(rss_bytes, hosts))
            client.stdin.write("end\n")
            client.stdin.flush()
            client.wait(120)
        finally:
            client.kill()
    return Memory(
        workflows,
        (after - before) // workflows,
        (server_after - server_before) // workflows,
        round(after / 1e6, 1),
    )


def _number(line: str, errors: Any) -> int:
    if not line.strip().isdigit():
        raise StackFailed(f"Memory could not be measured: {errors.read().strip().splitlines()[-1:]}")
    return int(line)


async def _hold(workflows: int) -> None:
    """Start workflows that wait, say what the server then uses, and let them end."""
    from bench.workload.payloads import DOCUMENT
    from coordination import Client
    from coordination.config import current

    loop = asyncio.get_running_loop()
    async with Client.open(current()) as client:
        keys, call = client.connection.keys, client.connection.call

        async def many(names: list[str], work: Any) -> None:
            for first in range(0, len(names), 250):
                await asyncio.gather(*(work(name) for name in names[first : first + 250]))

        async def submit(name: str) -> None:
            await client.submit("bench_waiting", DOCUMENT, workflow_id=name)

        async def waits(name: str) -> bool:
            return int(await call("HGET", keys.workflow(name), "seq") or 0) >= 3

        async def settle(names: list[str]) -> int:
            for _ in range(600):
                if all(await asyncio.gather(*(waits(name) for name in names))):
                    break
                await asyncio.sleep(0.1)
            for _ in range(100):  # until the relay has mirrored their events
                if not any(await asyncio.gather(*(call("XLEN", keys.events(n)) for n in range(keys.shards)))):
                    break
                await asyncio.sleep(0.1)
            return int((await client.inspect.memory())["used_memory"])

        warm = [f"warm{number}" for number in range(100)]
        await many(warm, submit)
        print(await settle(warm), flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        names = [f"wait{number}" for number in range(workflows)]
        await many(names, submit)
        print(await settle(names), flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        await many(warm + names, lambda name: client.signal(name, "go on"))
        for _ in range(600):
            left = await asyncio.gather(
                *(call("ZCARD", keys.deadlines(n)) for n in range(keys.shards)),
                *(call("XLEN", keys.events(n)) for n in range(keys.shards)),
            )
            if not any(left):
                break
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    uvloop.run(_hold(int(sys.argv[1])))
