"""One socket to the server: commands go out as one write, replies resolve their futures as they come in.

redis-py makes the socket (addresses, TLS, login); after that its reader would cost a coroutine for each
reply, so the socket is handed to a protocol that feeds the parser directly.

Invariant 9: when the server cannot write, new work is refused and accepted work waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

import hiredis
from redis.asyncio.connection import Connection as Link
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError

from coordination.errors import WriteRefused
from coordination.refusals import DEMOTED, refusal

_MORE = object()


class Wire(asyncio.Protocol):
    """Sends batches of commands; each reply goes to the future in its place, an error as its exception.

    This is the one place where a server's refusals become ``WriteRefused``. One by a server that is no
    primary makes the wire unusable, so that the next connection is made to wherever the primary is then.

    Args:
        link: A connected redis-py connection with no reply outstanding; the wire owns it from now on.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        writer: asyncio.StreamWriter = link._writer  # type: ignore[assignment]
        self._transport = cast(asyncio.Transport, writer.transport)
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=self._error, notEnoughData=_MORE)
        self._parse_error = link._parser.parse_error
        self._pending: deque[asyncio.Future[Any]] = deque()
        self._answered: asyncio.Future[None] | None = None
        self._broken: Exception | None = None
        self.generation = 0  # of its connection, when it was made
        self.demoted = False  # whether its server has said that it is no primary
        self._transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """Whether it is connected and has no reply outstanding."""
        return self._broken is None and not self.demoted and not self._pending and not self._transport.is_closing()

    async def exchange(self, packed: bytes, futures: list[asyncio.Future[Any]]) -> None:
        """Send commands and wait until each of their futures is resolved.

        Raises:
            redis.exceptions.ConnectionError: It broke; futures that are not done got no reply.
        """
        if self._broken is not None:
            raise self._broken
        self._answered = asyncio.get_running_loop().create_future()
        self._pending.extend(futures)
        self._transport.write(packed)
        await self._answered

    async def close(self) -> None:
        """Close the socket; replies that are outstanding never come."""
        self._break(RedisConnectionError("The connection was closed."))
        await self._link.disconnect(nowait=True)

    # --- what the event loop calls ----------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take in a part of the replies."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _MORE:
                self._take(reply)
        except RedisError as error:  # what came is no reply
            self._break(RedisConnectionError(str(error)))
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._break(RedisConnectionError(f"Connection closed by the server{f': {exc}' if exc else ''}"))

    def _error(self, said: str) -> Exception:
        refused = refusal(said)
        if refused is None:
            parsed: Exception = self._parse_error(said)  # type: ignore[no-untyped-call]
            return parsed
        self.demoted = self.demoted or refused.reason in DEMOTED
        return refused

    def _take(self, reply: Any) -> None:
        if isinstance(reply, RedisConnectionError):  # the server lets nobody in
            raise reply
        if not self._pending:
            raise InvalidResponse("The server sent a reply that nobody asked for.")
        future = self._pending.popleft()
        if not future.done():
            if isinstance(reply, RedisError | WriteRefused):
                future.set_exception(reply)
            else:
                future.set_result(reply)
        if not self._pending and self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def _break(self, error: Exception) -> None:
        if self._broken is None:
            self._broken = error
        self._pending.clear()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
            self._answered.exception()  # the one who waits may have been cancelled
