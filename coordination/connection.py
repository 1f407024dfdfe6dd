"""One connection for thousands of coroutines: calls of one loop tick travel as one pipeline.

A call that the caller cancels still runs to its end on the wire, so that replies never get out
of step. Nothing is sent twice unseen: a broken connection ends the calls under way with
``OutcomeUnknown``, those not yet sent with ``ServerUnavailable``.
"""

from __future__ import annotations

import asyncio
import math
import weakref
from collections import deque
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import Connection as Link
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError

from coordination import scripts
from coordination.address import SENTINEL, without_login
from coordination.config import Config, current
from coordination.errors import OutcomeUnknown, ServerUnavailable
from coordination.keys import Keys
from coordination.wire import Wire

_LANES = 4  # pipelines under way at once
_MOST = 512  # commands in one pipeline
_EXCHANGE_S = 15.0  # for one exchange; longer than any BLOCK
_LEAST_BEAT_S = 1.0
_WHO = pack_command(cast(Any, ("INFO", "server", "replication")))
_IDENTITY = (b"run_id", b"master_replid")  # a process, and the unbroken history of its writes
_CONNECT_S = 5.0  # the login included: a server that stands still accepts sockets and says nothing

Command = tuple[Any, ...]


class Connection:
    """Batched access to the server, with the keys that belong to it.

    Attributes:
        keys: Names keys under the configured prefix.
        config: The settings it was opened with.
        limit_s: How long a call may take when that is less than the usual; a blocking one is not meant.
    """

    limit_s = math.inf

    def __init__(self, config: Config) -> None:
        self.config = config
        self.keys = Keys(config.prefix, config.shards)
        self._pool = pool_of(config.redis_url)
        self._identity: bytes | None = None  # of the server that answered last
        self._generation = 0
        self._idle: list[Wire] = []  # connected, and with no reply outstanding
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()  # those in use too
        self._waiting: deque[tuple[Command, asyncio.Future[Any]]] = deque()
        self._lanes = 0
        self._scheduled = False
        self._senders: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def generation(self) -> int:
        """Grows when another server, or the same one started anew, answers.

        As long as it stays the same, all calls have gone to one uninterrupted primary.
        """
        return self._generation

    @classmethod
    def of(cls, config: Config) -> Connection:
        """What the address asks for: one server, a primary that Sentinels name, or a cluster; connects when called."""
        if config.redis_url.startswith("redis+cluster://"):
            from coordination.cluster import ClusterConnection

            return ClusterConnection(config)
        if config.redis_url.startswith(SENTINEL):
            from coordination.sentinel import SentinelConnection

            return SentinelConnection(config)
        return cls(config)

    @classmethod
    async def open(cls, config: Config | None = None, limit_s: float = math.inf) -> Connection:
        """Open a connection.

        Raises:
            ServerUnavailable: The server does not answer; says at which address.
        """
        connection = cls.of(config or current())
        connection.limit_s = limit_s
        try:
            await connection.call("PING")
        except ServerUnavailable:
            await connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Let calls under way finish, then close every socket."""
        self._closed = True
        if self._senders:
            await asyncio.wait(self._senders, timeout=5.0)
        while self._idle:
            await self._idle.pop().close()

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- calls ----------------------------------------------------------------------

    def call(self, *command: Any) -> asyncio.Future[Any]:
        """Send one command; the future resolves to its reply, bytes undecoded.

        Raises:
            ServerUnavailable: Not sent.
            OutcomeUnknown: Sent, and the connection broke before the reply.
            redis.exceptions.ResponseError: The server refused it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._closed:
            future.set_exception(ServerUnavailable("The connection to Redis is closed."))
            return future
        self._waiting.append((command, future))
        if not self._scheduled and self._lanes < _LANES:
            self._scheduled = True
            loop.call_soon(self._launch)
        return future

    async def script(self, name: str, keys: list[str], args: list[Any]) -> Any:
        """Run a script of ``coordination/lua`` once; loads it when the server does not know it."""
        script = scripts.get(name)
        assert len(keys) == script.keys, f"script {name} takes {script.keys} keys, got {len(keys)}"
        try:
            return await self.call("EVALSHA", script.sha, script.keys, *keys, *args)
        except NoScriptError:
            return await self.call("EVAL", script.source, script.keys, *keys, *args)

    async def scripts(self, name: str, calls: list[tuple[list[str], list[Any]]]) -> list[Any]:
        """Run one script many times, each with its keys and arguments; the answers in the same order."""
        script = scripts.get(name)
        sent = [self.call("EVALSHA", script.sha, script.keys, *keys, *args) for keys, args in calls]
        answers = await asyncio.gather(*sent, return_exceptions=True)
        for index, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                answers[index] = await self.script(name, *calls[index])
            elif isinstance(answer, BaseException):
                raise answer
        return answers

    async def blocking(self, *command: Any) -> Any:
        """Run a blocking read on a connection of its own.

        Raises:
            ServerUnavailable: The connection broke; nothing is known to be delivered.
        """
        wire = await self._wire()
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_EXCHANGE_S):
                await wire.exchange(pack_command(command), [reply])
        except (RedisConnectionError, OSError) as error:
            await wire.close()
            raise self._unavailable(error) from None
        except BaseException:
            await wire.close()
            raise
        await self._keep(wire)
        return reply.result()

    async def finish_blocking(self, group: str, consumer: str) -> list[Any]:
        """What reads of a consumer delivered that went on after ``blocking`` returned; only on a cluster they do."""
        return []

    async def nodes(self) -> list[Connection]:
        """One connection for each server that holds a part of the keys."""
        return [self]

    async def one_key_for_each_node(self, name: str) -> list[str]:
        """Keys with this beginning, one at every server."""
        return [name]

    async def _wire(self) -> Wire:
        """A connection for one exchange; it goes back to ``_idle`` only when every reply was read."""
        while self._idle:
            wire = self._idle.pop()
            if wire.usable:
                return wire
            await wire.close()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._find()
                wire = await self._connect()
        except (RedisError, OSError) as error:
            raise self._unavailable(error) from None
        self._wires.add(wire)
        return wire

    async def _find(self) -> None:
        """Make sure that ``_pool`` leads to the primary; a name behind DNS is looked up for each connection."""

    async def _connect(self) -> Wire:
        link = cast(Link, self._pool.make_connection())  # type: ignore[no-untyped-call]
        try:
            await link.connect()  # type: ignore[no-untyped-call]
            wire = Wire(link)
            await self._meet(wire)
        except BaseException:
            await link.disconnect(nowait=True)
            raise
        return wire

    async def _meet(self, wire: Wire) -> None:
        """Learn who answers; after a restart or a failover, older connections are dropped."""
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        await wire.exchange(_WHO, [reply])
        try:
            said = dict(line.split(b":", 1) for line in reply.result().splitlines() if b":" in line)
        except ResponseError:  # this login may not ask: any two connections may then lead to different servers
            said = {}
        self._accept(said)
        identity = b" ".join(said.get(name, b"") for name in _IDENTITY)
        if self._identity is not None and (identity != self._identity or not said):
            await self._renew()
        self._identity = identity
        wire.generation = self._generation

    def _accept(self, said: dict[bytes, bytes]) -> None:
        """Raise when what answers is not what was looked for."""

    async def _renew(self) -> None:
        """Use no connection that was made before now."""
        self._generation += 1
        idle, self._idle = self._idle, []
        for wire in idle:
            await wire.close()

    async def _keep(self, wire: Wire) -> None:
        """Put a wire back for the next exchange, unless it leads to a server that is primary no more."""
        if wire.demoted and wire.generation == self._generation:
            await self._renew()
        if wire.usable and wire.generation == self._generation and not self._closed:
            self._idle.append(wire)
        else:
            await wire.close()

    async def exchange(self, commands: list[Command]) -> list[Any]:
        """Run commands in order on one connection of their own, outside the batches.

        Raises:
            ServerUnavailable: Not sent.
            OutcomeUnknown: The connection broke before the last reply.
            redis.exceptions.ResponseError: The server refused one of them.
        """
        loop = asyncio.get_running_loop()
        batch: list[tuple[Command, asyncio.Future[Any]]] = [(command, loop.create_future()) for command in commands]
        await self._exchange(batch)
        return [await future for _, future in batch]

    # --- batching ------------------------------------------------------------------------

    def _launch(self) -> None:
        self._scheduled = False
        if not self._waiting or self._lanes >= _LANES:
            return
        self._lanes += 1
        sender = asyncio.get_running_loop().create_task(self._send(), name="redis-lane")
        self._senders.add(sender)
        sender.add_done_callback(self._senders.discard)

    async def _send(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), _MOST)
                await self._exchange([self._waiting.popleft() for _ in range(size)])
        finally:
            self._lanes -= 1

    async def _exchange(self, batch: list[tuple[Command, asyncio.Future[Any]]]) -> None:
        try:
            wire = await self._wire()
        except ServerUnavailable as error:
            _fail(batch, error)
            return
        try:
            packed = b"".join([pack_command(command) for command, _ in batch])
            async with asyncio.timeout(min(self.limit_s, _EXCHANGE_S)):
                await wire.exchange(packed, [future for _, future in batch])
        except (RedisConnectionError, OSError) as error:
            await wire.close()
            _fail(batch, OutcomeUnknown(f"The connection to Redis broke during a call: {error}."))
        except BaseException:
            await wire.close()
            _fail(batch, OutcomeUnknown("The connection to Redis was ended during a call."))
            raise
        else:
            await self._keep(wire)

    def _unavailable(self, error: BaseException) -> ServerUnavailable:
        address, why = without_login(self.config.redis_url), str(error).rstrip(".") or "in time"
        return ServerUnavailable(f"Redis at {address} does not answer: {why}. Check REDIS_URL and the server.")


def beat_limit_s(config: Config, interval_s: float) -> float:
    """How long a heartbeat waits for its answer: a connection that carries nothing any more is given up in time."""
    return max(_LEAST_BEAT_S, 2 * config.suspicion_beats * interval_s)


def pool_of(url: str) -> ConnectionPool:
    """Makes connections to one address, without a retry of its own."""
    return ConnectionPool.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=None,  # redis-py would use asyncio.wait_for, which swallows cancellation before Python 3.12
        socket_connect_timeout=5.0,
        protocol=2,
    )


def _fail(batch: list[tuple[Command, asyncio.Future[Any]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
            future.exception()  # a caller that went away does not have to look
