"""Acknowledging only what the disk has: WAITAOF behind the writes it vouches for, one for a group of them.

WAITAOF vouches for the writes of its own connection. So a marker is written on that connection first: the
append-only file is one sequence, and what is before the marker is on disk, and at the replicas, with it. That
holds only while one uninterrupted primary answers; a restart or a failover in between makes the outcome unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import AsyncIterator

from redis.exceptions import ResponseError

from coordination.connection import Connection
from coordination.errors import BadRequest, OutcomeUnknown, ServerUnavailable, SettingsError
from coordination.refusals import refusal

LEVELS = ("memory", "fsync")
_TIMEOUT_MS = 5_000
_REPLICAS_S = 1.0  # how long an answer about the replicas holds
_WAITAOF_SINCE = (7, 2)
_AGAIN = "do it again with the same key or id"


@contextlib.asynccontextmanager
async def durable(connection: Connection, level: str | None = None) -> AsyncIterator[None]:
    """Leave the block only when what was written in it is as safe as the level says.

    Args:
        connection: The writes' own.
        level: "memory": nothing is waited for; "fsync": the disk of the server, and of ``durable_replicas``
            replicas; by default what the settings say.

    Raises:
        SettingsError: The server cannot promise it; nothing was written; says what to change.
        ServerUnavailable: Too few replicas follow; nothing was written.
        OutcomeUnknown: It was not confirmed in time, or by another server than the one that was written to.
    """
    level = level or connection.config.durability
    if level not in LEVELS:
        raise BadRequest(f"There is no durability {level!r}: use memory or fsync.")
    if level == "memory":
        yield
        return
    guard = _guards.get(connection)
    if guard is None:
        guard = _guards[connection] = _Guard(connection)
    await guard.check()
    generation = connection.generation
    yield
    await guard.confirm()
    if connection.generation != generation:
        raise OutcomeUnknown(f"The server was started anew or replaced before its disk was confirmed; {_AGAIN}.")


class _Guard:
    """Confirms all that waits by one marker; what comes meanwhile waits for the next one.

    A group may only be joined before its marker is sent: then it is behind everything its members wrote.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = weakref.ref(connection)
        self._replicas = connection.config.durable_replicas
        self._checked = -1  # the generation that was found able
        self._always = False  # whether the servers write every command to disk before they answer
        self._counted_at = float("-inf")
        self._next: asyncio.Future[None] | None = None
        self._work: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Make sure that the servers can promise it, before anything is written."""
        connection = self._connection()
        assert connection is not None
        if self._checked != connection.generation:
            generation = connection.generation
            self._always = all([await _always(node, self._replicas) for node in await connection.nodes()])
            self._checked = generation
        if self._replicas and time.monotonic() - self._counted_at > _REPLICAS_S:
            for node in await connection.nodes():
                await _count_replicas(node, self._replicas)
            self._counted_at = time.monotonic()

    async def confirm(self) -> None:
        """Wait until everything that was written before this call is on all the disks."""
        if self._always and not self._replicas:
            return  # what was answered is on disk
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = loop.create_future()
        group = self._next
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._run(), name="durability")
        await asyncio.shield(group)

    async def _run(self) -> None:
        while self._next is not None and (connection := self._connection()) is not None:
            group, self._next = self._next, None
            try:
                markers = await connection.one_key_for_each_node(f"{connection.keys.prefix}durable")
                await asyncio.gather(*(_confirm(connection, marker, self._replicas) for marker in markers))
                group.set_result(None)
            except Exception as error:
                group.set_exception(error)
                group.exception()  # those who wait may have been cancelled


_guards: weakref.WeakKeyDictionary[Connection, _Guard] = weakref.WeakKeyDictionary()


async def _confirm(connection: Connection, marker: str, replicas: int) -> None:
    """Wait until the marker, and so all that was written before it, is on the disks."""
    try:
        _, answer = await connection.exchange([("SET", marker, 1, "EX", 60), ("WAITAOF", 1, replicas, _TIMEOUT_MS)])
    except ResponseError as error:  # appendonly was switched off since it was looked at
        raise SettingsError(f"durability=fsync needs appendonly yes: {error}.") from None
    disks, copies = int(answer[0]), int(answer[1])
    if disks < 1:
        raise OutcomeUnknown(f"The server did not confirm its disk within {_TIMEOUT_MS} ms; {_AGAIN}.")
    if copies < replicas:
        raise OutcomeUnknown(f"{copies} of {replicas} replicas confirmed their disk within {_TIMEOUT_MS} ms; {_AGAIN}.")


async def _always(node: Connection, replicas: int) -> bool:
    """Whether a server writes to disk before it answers.

    Raises:
        SettingsError: It cannot confirm its disk; says what to change.
        WriteRefused: It is still loading its data.
    """
    about = await _info(node, "server", "persistence")
    if about.get("loading") == "1" and (refused := refusal("LOADING")):  # its append-only file counts as off meanwhile
        raise refused
    if about.get("aof_enabled") != "1":
        raise SettingsError("durability=fsync needs a server that writes to disk: set appendonly yes.")
    version = about.get("redis_version", "0.0")
    has_waitaof = tuple(int(part) for part in version.split(".")[:2]) >= _WAITAOF_SINCE
    policy = await _appendfsync(node)
    if replicas and not has_waitaof:
        raise SettingsError(
            f"GANGLION_DURABLE_REPLICAS needs WAITAOF, which Redis {version} does not have: use 7.2 or Valkey."
        )
    if not has_waitaof and policy != "always":
        raise SettingsError(
            f"durability=fsync on Redis {version}, which has no WAITAOF, needs appendfsync always"
            f" ({f'it is {policy}' if policy else 'and a login that may read it: +config|get'});"
            " or use Redis 7.2 or Valkey."
        )
    if policy == "no":
        raise SettingsError("durability=fsync cannot be confirmed with appendfsync no: set it to everysec or always.")
    return policy == "always"


async def _appendfsync(node: Connection) -> str:
    """When a server writes to disk; "" when this login may not ask."""
    try:
        return str((await node.call("CONFIG", "GET", "appendfsync"))[1].decode())
    except ResponseError:
        return ""


async def _count_replicas(node: Connection, wanted: int) -> None:
    following = int((await _info(node, "replication")).get("connected_slaves", "0"))
    if following < wanted:
        raise ServerUnavailable(
            f"{following} of the {wanted} replicas that GANGLION_DURABLE_REPLICAS asks for follow the server."
            " Nothing was written: start them, or lower the number."
        )


async def _info(node: Connection, *sections: str) -> dict[str, str]:
    text = (await node.call("INFO", *sections)).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
