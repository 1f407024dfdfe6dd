"""``python -m bench.crash``: a central brain with work in flight, killed by force; what becomes of the work.

The server, the agents and the brain are private to this program and end with it. It prints one JSON object a line:
``{"say": words}`` while it goes on, and ``{"figures": …}`` at the end. The brain is the event-driven one, the
strongest form of the idea. What it lost is submitted again by hand, as somebody would have to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import msgspec

from bench import central
from bench.stack import SERVES, Bare
from bench.workload.payloads import DOCUMENT
from coordination.config import current
from coordination.connection import Connection
from dashboard.lab.load.agents import LEDGER

CLIENT = "client"
IN_FLIGHT_S = 30.0  # for the work to get under way
PATIENCE_S = 5.0  # after the restart, until what has not ended counts as lost; its steps take a second each


class Work:
    """The workflows of one experiment, as their submitter knows them."""

    def __init__(self, connection: Connection, ids: list[str]) -> None:
        self._connection = connection
        self.ids = ids
        self.ended: dict[str, float] = {}  # ms on the clock on the wall
        self._last: bytes | str = "0"

    async def submit(self, ids: list[str]) -> None:
        """Hand workflows to the brain."""
        queue, payload = self._connection.keys.inbox(central.NAME), msgspec.json.encode(DOCUMENT)
        for name in ids:
            await self._connection.call("XADD", queue, "*", "w", name, "c", CLIENT, "a", "lab", "i", payload)

    async def look(self) -> None:
        """Note what has ended, for a tenth of a second."""
        inbox = self._connection.keys.inbox(CLIENT)
        reply = await self._connection.blocking("XREAD", "COUNT", 1000, "BLOCK", 100, "STREAMS", inbox, self._last)
        for entry, fields in reply[0][1] if reply else ():
            self.ended.setdefault(fields[1].decode(), time.time() * 1000)
            self._last = entry

    async def settled(self) -> dict[str, int]:
        """How many steps of each workflow agents have done."""
        call, keys = self._connection.call, self._connection.keys
        records = await asyncio.gather(*(call("HGETALL", keys.workflow(name)) for name in self.ids))
        return {name: _settled(flat) for name, flat in zip(self.ids, records, strict=True)}


def _settled(flat: list[bytes]) -> int:
    return sum(
        name.startswith(b"t:") and value.split(b":")[2] == b"s"
        for name, value in zip(flat[::2], flat[1::2], strict=True)
    )


def say(words: str) -> None:
    """Tell whoever reads along."""
    print(json.dumps({"say": words}), flush=True)


def start(stack: Bare) -> subprocess.Popen[bytes]:
    """Start the brain."""
    return stack.run_python("-m", "bench.central", "--event-driven", announces=central.READY)


async def experiment(stack: Bare, count: int) -> dict[str, Any]:
    """Kill the brain while all its workflows are under way, start it again, and see what ends."""
    brain = start(stack)
    async with await Connection.open(current()) as connection:
        work = Work(connection, [f"central-{number:02d}" for number in range(1, count + 1)])
        await work.submit(work.ids)
        say(f"{count} workflows are handed to one central brain, with the same agents.")
        async with asyncio.timeout(IN_FLIGHT_S):
            while min((await work.settled()).values()) < 1:
                await work.look()
        brain.kill()
        brain.wait()
        killed_ms = time.time() * 1000
        living = [name for name in work.ids if name not in work.ended]
        say(f"Killed: the brain, with {len(living)} workflows in its memory.")
        start(stack)
        back_ms = time.time() * 1000
        say(f"It runs again after {(back_ms - killed_ms) / 1000:.1f} s, and knows of nothing.")
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and len(work.ended) < count:
            await work.look()
        lost = [name for name in living if name not in work.ended]
        done = await work.settled()
        thrown = sum(done[name] for name in lost)
        say(
            f"{len(lost)} workflows were lost, and with them {thrown} finished steps. They are submitted again by hand."
        )
        again = [f"{name}-again" for name in lost]
        await work.submit(again)
        async with asyncio.timeout(IN_FLIGHT_S):
            while not work.ended.keys() >= set(again):
                await work.look()
        ends = {name: end - killed_ms for name, end in work.ended.items() if end > killed_ms}
        return {
            "count": count, "interrupted": len(living), "lost": len(lost), "thrown": thrown,
            "marks": [{"at": back_ms - killed_ms, "words": "runs again", "tone": "idle"}],
            "rows": [
                {"id": name, "taken": None, "next": ends.get(name), "lost": name in lost}
                for name in living
            ],
            "all_ms": max(ends.values(), default=0.0),
        }  # fmt: skip


def _end(*_: object) -> None:
    """End with everything private; a second signal does not break that off."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def main() -> int:
    """Run it once."""
    parser = argparse.ArgumentParser(prog="bench.crash")
    parser.add_argument("--count", type=int, default=40)
    count = parser.parse_args().count
    signal.signal(signal.SIGTERM, _end)
    with Bare(agents=False) as stack:
        stack.environ[LEDGER] = str(stack.home / "ledger")
        stack.run_python(
            "manage.py", "run_agent", "--module", "dashboard.lab.load.agents", "--concurrency", "64", "--name", "lab",
            announces=SERVES,
        )  # fmt: skip
        os.environ |= stack.client_environ
        print(json.dumps({"figures": asyncio.run(experiment(stack, count))}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
