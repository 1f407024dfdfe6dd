"""A proxy in front of the server, by TCP and by Unix socket, that delays, cuts, half-opens and drops replies."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from config.up import server as embedded

_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)  # linger for no time: the end of a connection is a reset


class Proxy:
    """Carries bytes to a server, in a thread of its own, as honestly as it is told to.

    Args:
        path: Where it listens, beside a port of loopback.
        server: The server's socket, or its port of loopback.

    Attributes:
        port: The port of loopback where it listens too.
        delay_s: Added to every chunk in both directions.
        silent: Whether nothing is carried any more, while connections stay open (half-open).
        deaf: Whether requests still reach the server, but replies are thrown away.
        away: Whether new connections are ended at once.
        accepted: Connections so far.
        ended: Connections that it ended by ``cut``.
        turned_away: Connections that it ended because it was away.
        held_up: Chunks that it delayed or kept back.
        swallowed: Chunks that it threw away.
    """

    def __init__(self, path: Path, server: Path | int) -> None:
        self._path = path
        self._server = server
        self._listener = embedded.listen(0)
        self.port = int(self._listener.getsockname()[1])
        self.delay_s = 0.0
        self.silent = False
        self.deaf = False
        self.away = False
        self.accepted = self.ended = self.turned_away = self.held_up = self.swallowed = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._half_open: set[asyncio.StreamWriter] = set()  # ends of connections that carry nothing any more
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    async def _listen(self) -> None:
        await asyncio.start_unix_server(self._carry, path=str(self._path))
        await asyncio.start_server(self._carry, sock=self._listener)

    def stop(self) -> None:
        """Cut everything and end."""
        if not self._thread.is_alive():
            self._listener.close()
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """End every connection without a goodbye."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        self.ended += len(self._writers) // 2
        self._abort()

    def half_open(self, rng: random.Random, share: float = 0.5) -> None:
        """Let a share of the connections stay open and carry nothing for the rest of their life; new ones are sound."""
        self._loop.call_soon_threadsafe(self._deaden, rng.random(), share)

    @property
    def dead(self) -> int:
        """How many half-open connections are still held."""
        return len(self._half_open)

    def _deaden(self, draw: float, share: float) -> None:
        chosen = random.Random(draw)
        for writer in list(self._writers):
            if chosen.random() < share:
                self._half_open.add(writer)

    async def _end(self) -> None:
        self._abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        carried: socket.socket = writer.get_extra_info("socket")
        if carried.family == socket.AF_INET:
            carried.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if self.away:
            self.turned_away += 1
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            if isinstance(self._server, int):
                opening = asyncio.open_connection("127.0.0.1", self._server)
            else:
                opening = asyncio.open_unix_connection(self._server)
            server_reader, server_writer = await opening
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(server_writer)
        ends = {writer, server_writer}
        carriers = [
            asyncio.create_task(self._pour(reader, server_writer, lambda: ends & self._half_open)),
            asyncio.create_task(self._pour(server_reader, writer, lambda: self.deaf or ends & self._half_open)),
        ]
        await asyncio.wait(carriers, return_when=asyncio.FIRST_COMPLETED)
        for carrier in carriers:
            carrier.cancel()
        for end in ends:
            self._writers.discard(end)
            self._half_open.discard(end)
            end.transport.abort()

    async def _pour(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dropped: Callable[[], object]
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                self.held_up += bool(self.delay_s or self.silent)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                while self.silent:
                    await asyncio.sleep(0.02)
                if dropped():
                    self.swallowed += 1
                    continue
                writer.write(data)
                await writer.drain()
        except OSError:
            return
