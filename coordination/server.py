"""Refusing a server that cannot keep the promises."""

from __future__ import annotations

from coordination.connection import Connection
from coordination.errors import SettingsError

OLDEST = (7, 0)
_SHARDS_KEY = "shards"


async def check_server(connection: Connection) -> None:
    """Make sure that the server is new enough, keeps everything, and has this many shards.

    Raises:
        SettingsError: Says what does not fit and what to change.
    """
    info = (await connection.call("INFO")).decode()
    values = {name: value for name, _, value in (line.partition(":") for line in info.splitlines())}
    version = values.get("redis_version", "0.0")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise SettingsError(f"Redis {version} is too old: Ganglion needs Redis 7.0 or Valkey.")
    policy = values.get("maxmemory_policy", "noeviction")
    if values.get("maxmemory", "0") != "0" and policy != "noeviction":
        raise SettingsError(
            f"The server evicts keys (maxmemory-policy {policy}) and would lose workflows: set it to noeviction."
        )
    await _check_shards(connection)


async def _check_shards(connection: Connection) -> None:
    wanted = connection.config.shards
    key = f"{connection.keys.prefix}{_SHARDS_KEY}"
    await connection.call("SET", key, wanted, "NX")
    stored = int(await connection.call("GET", key))
    if stored != wanted:
        raise SettingsError(
            f"The data has {stored} shards, but GANGLION_SHARDS is {wanted}; the number is fixed with the first start."
        )
