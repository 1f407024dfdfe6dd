"""A run() that blocks its host, or ends it: named, and kept from taking host after host along.

A thread watches the event loop. When it has stood still for too long, the thread says which
workflow was running and ends the process, because peers have its workflows by then. A workflow
that is taken over again without having moved is run alone, under a mark that its host's death
leaves behind; the next host that finds the mark asks people instead of running it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import structlog

from coordination.errors import CoordinatorCrashed, ServerUnavailable

if TYPE_CHECKING:
    from coordination.host import Host

log = structlog.get_logger(__name__)

_LOOK_S = 0.5
_SIGN_S = 0.1
EXIT_CODE = 70


def crash_error(workflow_id: str) -> CoordinatorCrashed:
    """What people are told of a workflow that ended the hosts which ran it."""
    return CoordinatorCrashed(
        f"run() of {workflow_id} ended the coordinator hosts that ran it (out of memory, a crash, or a loop that never "
        "awaits). Nothing was lost; mend the code and retry, or end the workflow."
    )


class LoopGuard:
    """Ends the process when its event loop stands still for longer than ``blocked_s``."""

    def __init__(self, host: Host, blocked_s: float) -> None:
        self._host = host
        self._blocked_s = blocked_s
        self._sign = time.monotonic()
        self._stop = threading.Event()
        self._main = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="loop-guard", daemon=True)

    def sign(self) -> float:
        """When the event loop last gave a sign of life, by the monotonic clock."""
        return self._sign

    async def run(self) -> None:
        """Give signs of life until cancelled."""
        self._thread.start()
        try:
            while True:
                self._sign = time.monotonic()
                await asyncio.sleep(_SIGN_S)
        finally:
            self._stop.set()

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(_LOOK_S):
            now = time.monotonic()
            if now - last > _LOOK_S * 4:  # the whole process was stopped: the loop had no chance either
                self._sign = now
            last = now
            if now - self._sign > self._blocked_s:
                frame = sys._current_frames().get(self._main)
                where = "".join(traceback.format_stack(frame)[-4:]) if frame else ""
                log.error(
                    f"run() has blocked this host for {self._blocked_s:g} s: it must not compute, sleep or do I/O; "
                    f"put that into an agent. Ending the process; peers have its workflows.\n{where}",
                    action="blocked", workflow=self._host.executing,
                )  # fmt: skip
                os._exit(EXIT_CODE)


class Suspects:
    """Runs workflows one at a time that may end the process, under a mark that outlives it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._alone = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def marked(self, workflow_id: str) -> AsyncIterator[None]:
        """Hold the mark of this host on a workflow inside the block."""
        connection = self._host.connection
        async with self._alone:
            host = self._host.id  # another when the block ends, if peers declare this one dead meanwhile
            await connection.call("HSET", connection.keys.executing, host, workflow_id)
            try:
                yield
            finally:
                with contextlib.suppress(ServerUnavailable):
                    await connection.call("HDEL", connection.keys.executing, host)

    async def of(self, dead: str) -> str:
        """The workflow that a dead host was running alone, or ""; the mark is taken away with ``clear``."""
        raw = await self._host.connection.call("HGET", self._host.connection.keys.executing, dead)
        return raw.decode() if raw else ""

    async def clear(self, dead: str) -> None:
        """Take a dead host's mark away, unless its workflow is still to be taken over: perhaps by a peer."""
        connection, suspect = self._host.connection, await self.of(dead)
        if suspect and await connection.call("HGET", connection.keys.workflow(suspect), "owner") != dead.encode():
            await connection.call("HDEL", connection.keys.executing, dead)
