"""Acknowledging only what the disk has: WAITAOF behind the writes it vouches for, one for a group of them."""

from __future__ import annotations

import asyncio
import weakref

from redis.exceptions import ResponseError

from coordination.connection import Connection
from coordination.errors import OutcomeUnknown, SettingsError

_TIMEOUT_MS = 5_000


class _Groups:
    """Confirms all that waits by one marker; what comes meanwhile waits for the next one.

    A group may only be joined before its marker is sent: then it is behind everything its members wrote.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = weakref.ref(connection)
        self._next: asyncio.Future[int] | None = None
        self._work: asyncio.Task[None] | None = None

    async def confirm(self) -> int:
        """How many disks have everything that was written before this call."""
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = loop.create_future()
        group = self._next
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._run(), name="durability")
        return await asyncio.shield(group)

    async def _run(self) -> None:
        while self._next is not None and (connection := self._connection()) is not None:
            group, self._next = self._next, None
            markers = connection.one_key_for_each_node(f"{connection.keys.prefix}durable")
            try:
                group.set_result(min(await asyncio.gather(*(_confirm(connection, marker) for marker in markers))))
            except Exception as error:
                group.set_exception(error)
                group.exception()  # those who wait may have been cancelled


_groups: weakref.WeakKeyDictionary[Connection, _Groups] = weakref.WeakKeyDictionary()


async def confirm_durable(connection: Connection) -> None:
    """Return when everything written so far through this process is on the server's disk.

    WAITAOF vouches for the writes of its own connection only, so a marker is written on that
    connection first: the append-only file is one sequence, and what is before the marker is
    written with it.

    Raises:
        SettingsError: The server cannot promise it; says what to change.
        OutcomeUnknown: It did not confirm in time; the write may or may not survive a power cut.
    """
    groups = _groups.get(connection)
    if groups is None:
        groups = _groups[connection] = _Groups(connection)
    try:
        disks = await groups.confirm()
    except ResponseError as error:
        raise SettingsError(
            f"durability=fsync needs a server with WAITAOF and appendonly on (Valkey, or Redis from 7.2): {error}."
        ) from None
    if disks < 1:
        raise OutcomeUnknown(
            f"The server did not confirm its disk within {_TIMEOUT_MS} ms; submit again with the same key."
        )


async def _confirm(connection: Connection, marker: str) -> int:
    """How many disks have the marker, and so all that was written before it."""
    _, answer = await connection.exchange([("SET", marker, 1, "EX", 60), ("WAITAOF", 1, 0, _TIMEOUT_MS)])
    return int(answer[0])
