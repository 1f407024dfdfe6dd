"""The web process as the supervisor runs it: uvicorn on a socket that outlives a restart."""

from __future__ import annotations

import argparse
import os
import socket

import uvicorn

from config.environment import SQL_WAIT
from coordination.readiness import announce
from dashboard.frames import Protocol


class Server(uvicorn.Server):
    """Announces itself once it takes requests."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce."""
        await super().startup(sockets=sockets)
        if not self.should_exit:
            announce()


def main() -> None:
    """Serve on an inherited socket until SIGTERM; open requests get a few seconds to finish."""
    parser = argparse.ArgumentParser(prog="python -m config.web")
    parser.add_argument("--fd", type=int, required=True, help="number of the listening socket")
    os.environ.setdefault(SQL_WAIT, "5")
    listener = socket.socket(fileno=parser.parse_args().fd)
    config = uvicorn.Config(
        "config.asgi:application",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=150,  # longer than a proxy keeps one (Caddy 120 s), which else meets a closed one
        timeout_graceful_shutdown=5,
        ws=Protocol,
        ws_max_size=1_048_576,
        server_header=False,
    )
    Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
