"""One connection for thousands of coroutines: calls of one loop tick travel as one pipeline.

A call that the caller cancels still runs to its end on the wire, so that replies never get out
of step. Nothing is sent twice unseen: a broken connection ends the calls under way with
``OutcomeUnknown``, those not yet sent with ``ServerUnavailable``.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import weakref
from typing import Any, cast

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import Connection as Link
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from coordination import scripts
from coordination.address import SENTINEL, without_login
from coordination.config import Config, current
from coordination.errors import OutcomeUnknown, ServerUnavailable
from coordination.keys import Keys
from coordination.wire import Command, Ended, Sent, Wire

_LANES = 4  # pipelines under way at once, so that there is work while the server is busy with others'
_MOST = 512  # commands in one pipeline
_EXCHANGE_S = 15.0  # for one exchange; longer than any BLOCK
_LEAST_BEAT_S = 1.0
_WHO = ("INFO", "server", "replication")
_IDENTITY = (b"run_id", b"master_replid")  # a process, and the unbroken history of its writes
_CONNECT_S = 5.0  # the login included: a server that stands still accepts sockets and says nothing


class Connection:
    """Batched access to the server, with the keys that belong to it.

    Attributes:
        keys: Names keys under the configured prefix.
        config: The settings it was opened with.
        limit_s: How long a call may take when that is less than the usual; a blocking one is not meant.
        one_server: Whether one server holds every key, so that a script may touch any of them.
    """

    limit_s = math.inf
    one_server = True

    def __init__(self, config: Config) -> None:
        self.config = config
        self.keys = Keys(config.prefix, config.shards)
        self._pool = pool_of(config.redis_url)
        self._identity: bytes | None = None  # of the server that answered last
        self._generation = 0
        self._loop: asyncio.AbstractEventLoop | None = None  # since the first call
        self._idle: list[Wire] = []  # connected, and with no reply outstanding
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()  # those in use too
        self._busy: set[Wire] = set()  # those with an exchange under way
        self._clock: asyncio.TimerHandle | None = None  # looks after exchanges that take too long
        self._waiting: list[Sent] = []
        self._lanes = 0
        self._scheduled = False
        self._reaching: set[asyncio.Task[None]] = set()  # lanes whose connection is being made
        self._settled = asyncio.Event()
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
        if self._lanes or self._waiting:
            self._settled.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await self._settled.wait()
        if self._clock is not None:
            self._clock.cancel()
        for wire in [*self._idle, *self._busy]:
            wire.close()
        self._idle.clear()

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
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._closed:
            future.set_exception(ServerUnavailable("The connection to Redis is closed."))
        else:
            self._send((command, future))
        return future

    def script(self, name: str, keys: list[str], args: list[Any]) -> asyncio.Future[Any]:
        """Run a script of ``coordination/lua`` once; it is sent whole when the server does not know it."""
        script = scripts.get(name)
        assert len(keys) == script.keys, f"script {name} takes {script.keys} keys, got {len(keys)}"
        return self.call("EVALSHA", script.sha, script.keys, *keys, *args)

    async def scripts(self, name: str, calls: list[tuple[list[str], list[Any]]]) -> list[Any]:
        """Run one script many times, each with its keys and arguments; the answers in the same order."""
        answers = await asyncio.gather(*[self.script(name, *each) for each in calls], return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    async def blocking(self, *command: Any) -> Any:
        """Run a blocking read on a connection of its own.

        Raises:
            ServerUnavailable: The connection broke; nothing is known to be delivered.
        """
        wire = await self._wire()
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._exchange(wire, [(command, reply)], _EXCHANGE_S, self._has_read)
        try:
            return await reply
        except asyncio.CancelledError:
            if reply.cancelled():  # its reply is outstanding
                wire.close()
            raise

    def _has_read(self, wire: Wire, left: list[Sent], error: Exception | None) -> None:
        """What a blocking read has come to."""
        if error is not None:
            _fail(left, self._unavailable(error))
        self._give_back(wire, error)

    async def finish_blocking(self, group: str, consumer: str) -> list[Any]:
        """What reads of a consumer delivered that went on after ``blocking`` returned; only on a cluster they do."""
        return []

    async def nodes(self) -> list[Connection]:
        """One connection for each server that holds a part of the keys."""
        return [self]

    async def one_key_for_each_node(self, name: str) -> list[str]:
        """Keys with this beginning, one at every server."""
        return [name]

    def _unused(self) -> Wire | None:
        """A connection that was made before and has no reply outstanding."""
        while self._idle:
            wire = self._idle.pop()
            if wire.usable:
                return wire
            wire.close()
        return None

    async def _wire(self) -> Wire:
        """A connection for one exchange; it goes back to ``_idle`` only when every reply was read."""
        wire = self._unused()
        if wire is not None:
            return wire
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
            wire = Wire(link, self._send_whole)
            await self._meet(wire)
        except BaseException:
            await link.disconnect(nowait=True)
            raise
        return wire

    async def _meet(self, wire: Wire) -> None:
        """Learn who answers; after a restart or a failover, older connections are dropped."""
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        wire.send([(_WHO, reply)], lambda _, left, error: _fail(left, error) if error else None)
        try:
            said = dict(line.split(b":", 1) for line in (await reply).splitlines() if b":" in line)
        except ResponseError:  # this login may not ask: any two connections may then lead to different servers
            said = {}
        self._accept(said)
        identity = b" ".join(said.get(name, b"") for name in _IDENTITY)
        if self._identity is not None and (identity != self._identity or not said):
            self._renew()
        self._identity = identity
        wire.generation = self._generation

    def _accept(self, said: dict[bytes, bytes]) -> None:
        """Raise when what answers is not what was looked for."""

    def _renew(self) -> None:
        """Use no connection that was made before now."""
        self._generation += 1
        idle, self._idle = self._idle, []
        for wire in idle:
            wire.close()

    def _give_back(self, wire: Wire, error: Exception | None) -> None:
        """Put a wire back for the next exchange, unless it broke or leads to a server that is primary no more."""
        self._busy.discard(wire)
        if wire.demoted and wire.generation == self._generation:
            self._renew()
        if error is None and wire.usable and wire.generation == self._generation and not self._closed:
            self._idle.append(wire)
        else:
            wire.close(error)

    async def exchange(self, commands: list[Command]) -> list[Any]:
        """Run commands in order on one connection of their own, outside the batches.

        Raises:
            ServerUnavailable: Not sent.
            OutcomeUnknown: The connection broke before the last reply.
            redis.exceptions.ResponseError: The server refused one of them.
        """
        loop = asyncio.get_running_loop()
        batch: list[Sent] = [(command, loop.create_future()) for command in commands]
        self._exchange(await self._wire(), batch, min(self.limit_s, _EXCHANGE_S), self._exchanged)
        return [await future for _, future in batch]

    def _exchange(self, wire: Wire, batch: list[Sent], limit_s: float, ended: Ended, apart: bool = False) -> None:
        """Send commands; ``ended`` is called when all are answered, the connection broke, or it took too long."""
        loop = asyncio.get_running_loop() if self._loop is None else self._loop
        self._busy.add(wire)
        wire.until = loop.time() + limit_s
        if self._clock is None or self._clock.when() > wire.until:
            if self._clock is not None:
                self._clock.cancel()
            self._clock = loop.call_at(wire.until, self._end_late)
        try:
            wire.send(batch, ended, apart)
        except Exception as error:  # it cannot be packed: nothing was sent
            _fail(batch, error)
            ended(wire, [], None)

    def _end_late(self) -> None:
        """Give up exchanges that take too long, and look again when the next one would."""
        loop, self._clock = asyncio.get_running_loop(), None
        for wire in [wire for wire in self._busy if wire.until <= loop.time()]:
            wire.close(TimeoutError("no answer in time"))
        if self._busy and self._clock is None:
            self._clock = loop.call_at(min(wire.until for wire in self._busy), self._end_late)

    def _exchanged(self, wire: Wire, left: list[Sent], error: Exception | None) -> None:
        """Commands that had a connection for themselves have come to their end."""
        if error is not None:
            _fail(left, OutcomeUnknown(f"The connection to Redis broke during a call: {error}."))
        self._give_back(wire, error)

    # --- batching ------------------------------------------------------------------------

    def _send(self, sent: Sent) -> None:
        """Send a command with all others of this turn of the loop, or as soon as a lane is free."""
        self._waiting.append(sent)
        if not self._scheduled and self._lanes < _LANES:
            self._scheduled = True
            cast(asyncio.AbstractEventLoop, self._loop).call_soon(self._launch)

    def _send_whole(self, command: Command, future: asyncio.Future[Any]) -> None:
        """Send a script again, whole, because the server does not know it; it has run nothing."""
        self._send((scripts.whole(command), future))

    def _launch(self) -> None:
        self._scheduled = False
        while self._waiting and self._lanes < _LANES:
            self._lanes += 1
            wire = self._unused()
            if wire is not None:
                self._carry(wire)
            else:
                reaching = asyncio.get_running_loop().create_task(self._reach(), name="redis-lane")
                self._reaching.add(reaching)
                reaching.add_done_callback(self._reaching.discard)
                return

    async def _reach(self) -> None:
        """Make a lane's connection, then send what waits; without one, that fails."""
        try:
            wire = await self._wire()
        except BaseException as error:
            self._lanes -= 1
            _fail(self._next(), error if isinstance(error, ServerUnavailable) else self._unavailable(error))
            self._go_on()
            if not isinstance(error, ServerUnavailable):
                raise
        else:
            self._carry(wire)

    def _next(self) -> list[Sent]:
        """The commands of the next batch."""
        batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        return batch

    def _carry(self, wire: Wire) -> None:
        self._exchange(wire, self._next(), min(self.limit_s, _EXCHANGE_S), self._carried, apart=True)

    def _carried(self, wire: Wire, left: list[Sent], error: Exception | None) -> None:
        """A batch has come to its end: what broke is not sent again, because it may have been carried out."""
        self._lanes -= 1
        self._exchanged(wire, left, error)
        self._go_on()

    def _go_on(self) -> None:
        """Send what came meanwhile, once those who were answered have had their turn."""
        if self._waiting:
            if not self._scheduled:
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._launch)
        elif not self._lanes:
            self._settled.set()

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


def _fail(batch: list[Sent], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
            future.exception()  # a caller that went away does not have to look
