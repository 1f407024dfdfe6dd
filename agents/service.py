"""A worker as a process: signals, event loop, exit."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Protocol

import uvloop

from coordination.collecting import collect_seldom


class Serves(Protocol):
    """What can be run until it is stopped."""

    def run(self) -> Awaitable[None]:
        """Serve until stopped."""
        ...

    def stop(self) -> None:
        """Stop in order."""
        ...


def serve(make: Callable[[], Serves]) -> None:
    """Run until SIGTERM or SIGINT, then drain; a second signal ends the process at once."""
    collect_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_signalled(make))
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.name.startswith("agent") and thread.is_alive() for thread in threading.enumerate()):
        os._exit(0)  # a handler's thread runs on although its task has been given back


async def _until_signalled(make: Callable[[], Serves]) -> None:
    served = make()
    loop = asyncio.get_running_loop()
    told = False

    def on_signal() -> None:
        nonlocal told
        if told:
            os._exit(1)
        told = True
        served.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await served.run()
