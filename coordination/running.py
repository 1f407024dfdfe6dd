"""A coordinator host as a process: from its start to SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time

import structlog
import uvloop

from coordination.collecting import collect_seldom
from coordination.config import current
from coordination.connection import Connection
from coordination.errors import ServerUnavailable
from coordination.host import Host
from coordination.readiness import announce
from coordination.server import check_server

log = structlog.get_logger(__name__)

RETRY_S = 0.5
SAY_S = 30.0


async def run(name: str) -> None:
    """Run a host until SIGTERM or SIGINT, then hand its workflows over; waits for a server that does not answer yet.

    Raises:
        SettingsError: The server is too old or would throw data away.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Connection.of(current()) as connection:
        if not await _server_answers(connection, stop):
            return
        host = Host(connection, name)
        async with host.running():
            log.info("coordinator host is ready", action="ready", host=host.id, types=len(host.types))
            announce()
            await stop.wait()
            log.info("handing over", action="stopping", host=host.id, held=len(host.executions))


async def _server_answers(connection: Connection, stop: asyncio.Event) -> bool:
    """Wait until the server answers, and check it; whether it did before the host was told to stop."""
    said_at = -SAY_S
    while not stop.is_set():
        try:
            await check_server(connection)
        except ServerUnavailable as error:
            if time.monotonic() - said_at >= SAY_S:
                said_at = time.monotonic()
                log.warning("waiting for Redis", action="waiting", reason=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await stop.wait()
        else:
            return True
    return False


def serve(name: str) -> None:
    """Run a host in this process."""
    collect_seldom()
    uvloop.run(run(name))
