"""Acknowledging only what the disk has: WAITAOF behind the writes it vouches for."""

from __future__ import annotations

import asyncio

from redis.exceptions import ResponseError

from coordination.connection import Connection
from coordination.errors import OutcomeUnknown, SettingsError

_TIMEOUT_MS = 5_000


async def confirm_durable(connection: Connection) -> None:
    """Return when everything written so far through this process is on the server's disk.

    WAITAOF vouches for the writes of its own connection only, so a marker is written on that
    connection first: the append-only file is one sequence, and what is before the marker is
    written with it.

    Raises:
        SettingsError: The server cannot promise it; says what to change.
        OutcomeUnknown: It did not confirm in time; the write may or may not survive a power cut.
    """
    markers = connection.one_key_for_each_node(f"{connection.keys.prefix}durable")
    try:
        answers = await asyncio.gather(*(_confirm(connection, marker) for marker in markers))
    except ResponseError as error:
        raise SettingsError(
            f"durability=fsync needs a server with WAITAOF and appendonly on (Valkey, or Redis from 7.2): {error}."
        ) from None
    if min(answers) < 1:
        raise OutcomeUnknown(
            f"The server did not confirm its disk within {_TIMEOUT_MS} ms; submit again with the same key."
        )


async def _confirm(connection: Connection, marker: str) -> int:
    """How many disks have the marker, and so all that was written before it."""
    _, answer = await connection.exchange([("SET", marker, 1, "EX", 60), ("WAITAOF", 1, 0, _TIMEOUT_MS)])
    return int(answer[0])
