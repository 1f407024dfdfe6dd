"""``python -m bench.client``: the client process of one run; the last line it prints is its measure as JSON."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import uvloop

from bench import central
from bench.loop import Plan, add_options, measure
from bench.record import Record
from bench.workload.payloads import DOCUMENT
from coordination import Client
from coordination.config import current
from coordination.connection import Connection

SETTLE_S = 60.0

Engine = Callable[[str], Awaitable[object]]


def main() -> int:
    """Run the closed loop once."""
    parser = argparse.ArgumentParser(prog="bench.client")
    parser.add_argument("--engine", choices=("ganglion", "central"), default="ganglion")
    parser.add_argument("--agents", choices=("bench", "bench_slow"), default="bench")
    parser.add_argument("--durability", default="memory")
    add_options(parser, 200.0)
    chosen = parser.parse_args()
    gc.freeze()
    print(uvloop.run(_run(chosen)), flush=True)
    return 0


async def _run(chosen: argparse.Namespace) -> str:
    record = Record(chosen.record)
    opened = _ganglion(chosen) if chosen.engine == "ganglion" else _central(chosen)
    async with opened as (engine, settled):

        async def execute(number: int) -> None:
            name = f"b{int(time.time() * 1000):011x}{secrets.token_hex(5)}"  # as the client's own ids
            record.begin(name)
            await engine(name)
            record.end(name)

        found = await measure(execute, Plan.of(chosen), settled)
    record.write()
    return found.to_json()


@contextlib.asynccontextmanager
async def _ganglion(chosen: argparse.Namespace) -> AsyncIterator[tuple[Engine, Callable[[], Awaitable[None]]]]:
    workflow = "bench_slow_review" if chosen.agents == "bench_slow" else "bench_review"
    async with Client.open(current()) as client:

        async def engine(name: str) -> object:
            return await client.execute(
                workflow, DOCUMENT, workflow_id=name, durability=chosen.durability, timeout_s=chosen.patience
            )

        yield engine, lambda: mirrored(client.connection)


@contextlib.asynccontextmanager
async def _central(chosen: argparse.Namespace) -> AsyncIterator[tuple[Engine, None]]:
    async with await Connection.open(current()) as connection:
        me, waiting = f"client-{secrets.token_hex(4)}", dict[str, asyncio.Event]()
        payload = msgspec.json.encode(DOCUMENT)
        queue = connection.keys.inbox(central.NAME)

        async def listen() -> None:
            last = b"0"
            while True:
                inbox = connection.keys.inbox(me)
                reply = await connection.blocking("XREAD", "COUNT", 1000, "BLOCK", 2000, "STREAMS", inbox, last)
                for entry, fields in reply[0][1] if reply else ():
                    if event := waiting.get(fields[1].decode()):
                        event.set()
                    last = entry
                await connection.call("XTRIM", inbox, "MINID", last)

        async def engine(name: str) -> None:
            event = waiting[name] = asyncio.Event()
            try:
                async with asyncio.timeout(chosen.patience):
                    await connection.call("XADD", queue, "*", "w", name, "c", me, "a", chosen.agents, "i", payload)
                    await event.wait()
            finally:
                del waiting[name]

        listener = asyncio.create_task(listen(), name="listener")
        yield engine, None
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)


async def mirrored(connection: Connection) -> None:
    """Wait until the relay has mirrored everything into the history."""
    keys = connection.keys
    async with asyncio.timeout(SETTLE_S):
        while True:
            lengths = await asyncio.gather(*(connection.call("XLEN", keys.events(n)) for n in range(keys.shards)))
            if not any(lengths):
                return
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
