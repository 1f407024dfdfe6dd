"""One socket to the server: commands go out as one write, replies resolve their futures as they come in.

redis-py makes the socket (addresses, TLS, login); after that its reader would cost a coroutine for each
reply, so the socket is handed to a protocol that feeds the parser directly. Nothing here waits: who sends is
called back at the end, so that an exchange costs neither a task nor a timer.

Invariant 9: when the server cannot write, new work is refused and accepted work waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis
import structlog
from hiredis import pack_command
from redis.asyncio.connection import Connection as Link
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoScriptError, RedisError

from coordination.refusals import DEMOTED, refusal

log = structlog.get_logger(__name__)

_MORE = object()

Command = tuple[Any, ...]
Sent = tuple[Command, asyncio.Future[Any]]
Ended = Callable[["Wire", list[Sent], Exception | None], None]


class Wire(asyncio.Protocol):
    """Sends batches of commands; each reply goes to the future in its place, an error as its exception.

    This is the one place where a server's refusals become ``WriteRefused``. One by a server that is no
    primary makes the wire unusable, so that the next connection is made to wherever the primary is then.

    Args:
        link: A connected redis-py connection with no reply outstanding; the wire owns it from now on.
        unknown: Told of a script that the server does not know, with the future that waits for its answer.
    """

    def __init__(self, link: Link, unknown: Callable[[Command, asyncio.Future[Any]], None]) -> None:
        self._link = link
        writer: asyncio.StreamWriter = link._writer  # type: ignore[assignment]
        self._transport = cast(asyncio.Transport, writer.transport)
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=self._error, notEnoughData=_MORE)
        self._parse_error = link._parser.parse_error
        self._unknown = unknown
        self._pending: deque[Sent] = deque()
        self._ended: Ended | None = None
        self._broken: Exception | None = None
        self.generation = 0  # of its connection, when it was made
        self.until = 0.0  # when the exchange under way has taken too long, by the loop's clock
        self.demoted = False  # whether its server has said that it is no primary
        self._transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """Whether it is connected and has no reply outstanding."""
        return self._broken is None and not self.demoted and not self._pending and not self._transport.is_closing()

    def send(self, batch: list[Sent], ended: Ended, apart: bool = False) -> None:
        """Send commands.

        Args:
            batch: Commands with the futures of their replies.
            ended: Called once, when each has its reply, or with those that got none and why.
            apart: They are of many callers: one that cannot be sent fails alone.

        Raises:
            Exception: A command cannot be sent, because it holds something that is no argument; nothing was sent.
        """
        try:
            packed = b"".join([pack_command(command) for command, _ in batch])
        except Exception:
            if not apart:
                raise
            batch = [sent for sent in batch if _packs(sent)]
            packed = b"".join([pack_command(command) for command, _ in batch])
        self._pending.extend(batch)
        self._ended = ended
        if self._broken is not None or not batch:  # nothing would ever come that ends an exchange of nothing
            self._end(self._broken)
        else:
            self._transport.write(packed)

    def close(self, error: Exception | None = None) -> None:
        """Close the socket; replies that are outstanding never come."""
        self._break(error or RedisConnectionError("The connection was closed."))
        self._transport.abort()
        self._link._reader = self._link._writer = None

    # --- what the event loop calls ----------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take in a part of the replies."""
        pending, next_reply = self._pending, self._reader.gets
        try:
            self._reader.feed(data)
            while (reply := next_reply()) is not _MORE:
                if not pending:
                    raise InvalidResponse("The server sent a reply that nobody asked for.")
                command, future = pending[0]
                if isinstance(reply, Exception):
                    self._refused(reply, command, future)
                elif not future.done():
                    future.set_result(reply)
                pending.popleft()
        except Exception as error:
            if not isinstance(error, RedisError):  # else what came is no reply
                log.exception("a reply cannot be dealt with", action="reply.broken")
            self._break(RedisConnectionError(str(error)))
            self._transport.abort()
            return
        if not pending:
            self._end(None)

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

    def _refused(self, reply: Exception, command: Command, future: asyncio.Future[Any]) -> None:
        if isinstance(reply, RedisConnectionError):  # the server lets nobody in
            raise reply
        if future.done():
            return
        if isinstance(reply, NoScriptError) and command[0] == "EVALSHA":
            self._unknown(command, future)
        else:
            future.set_exception(reply)

    def _break(self, error: Exception) -> None:
        if self._broken is None:
            self._broken = error
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        ended, self._ended = self._ended, None
        left = list(self._pending)
        self._pending.clear()
        if ended is not None:
            ended(self, left, error)


def _packs(sent: Sent) -> bool:
    """Whether a command can be sent; else its future says why not."""
    command, future = sent
    try:
        pack_command(command)
    except Exception as error:
        if not future.done():
            future.set_exception(error)
            future.exception()  # a caller that went away does not have to look
        return False
    return True
