"""A coordinator host as a process: from its start to SIGTERM."""

from __future__ import annotations

import asyncio
import signal

import structlog
import uvloop

from coordination.collecting import collect_seldom
from coordination.connection import Connection
from coordination.host import Host
from coordination.readiness import announce
from coordination.server import check_server

log = structlog.get_logger(__name__)


async def run(name: str) -> None:
    """Run a host until SIGTERM or SIGINT, then hand its workflows over.

    Raises:
        ServerUnavailable: Redis does not answer at start.
        SettingsError: The server is too old or would throw data away.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with await Connection.open() as connection:
        await check_server(connection)
        host = Host(connection, name)
        async with host.running():
            log.info("coordinator host is ready", action="ready", host=host.id, types=len(host.types))
            announce()
            await stop.wait()
            log.info("handing over", action="stopping", host=host.id, held=len(host.executions))


def serve(name: str) -> None:
    """Run a host in this process."""
    collect_seldom()
    uvloop.run(run(name))
