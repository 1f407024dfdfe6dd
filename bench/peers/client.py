"""``python -m bench.peers.client MODULE``: the closed loop against a peer, in the environment of that peer.

The module names the engine: its ``connected(variant)`` is an async context manager that gives a function which does
one workflow from submit to its known result. The last line printed is the measure as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import uvloop

from bench.loop import Plan, add_options, measure
from bench.record import Record

PATIENCE_S = 120.0

Connected = Callable[[str], AbstractAsyncContextManager[Callable[[], Awaitable[object]]]]


async def _run(chosen: argparse.Namespace) -> str:
    connected: Connected = importlib.import_module(chosen.module).connected
    record = Record(chosen.record)
    async with connected(chosen.variant) as workflow:

        async def execute(number: int) -> None:
            record.begin(str(number))
            async with asyncio.timeout(chosen.patience):
                await workflow()
            record.end(str(number))

        found = await measure(execute, Plan.of(chosen), None)
    record.write()
    return found.to_json()


def main() -> int:
    """Run the closed loop once."""
    parser = argparse.ArgumentParser(prog="bench.peers.client")
    parser.add_argument("module")
    parser.add_argument("--variant", default="")
    add_options(parser, PATIENCE_S)
    chosen = parser.parse_args()
    gc.freeze()
    print(uvloop.run(_run(chosen)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
