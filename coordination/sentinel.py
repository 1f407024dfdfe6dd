"""The same calls on a primary that Sentinels name, and on its successor after a failover.

A majority of the Sentinels is asked for each new connection, and every second while there are
connections: the newest answer counts, by the epoch of the failover it comes from. So neither a
Sentinel that was cut off nor a primary that hangs or was cut off is followed for long.
"""

from __future__ import annotations

import asyncio

import msgspec
from redis.exceptions import ResponseError

from coordination.address import sentinel_address
from coordination.config import Config
from coordination.connection import Connection, pool_of
from coordination.errors import ServerUnavailable, WriteRefused
from coordination.wire import Wire

_ASK_S = 1.0  # for one answer of a Sentinel
_CONNECT_S = 2.0  # shorter than elsewhere, because a primary that hangs may have a successor already
_LOOK_S = 1.0  # between two looks whether the primary is still the primary

Place = tuple[int, str, int]  # epoch of the failover, host, port


class SentinelConnection(Connection):
    """Access to the present primary of a service in the manner of ``Connection``."""

    def __init__(self, config: Config) -> None:
        self._named = sentinel_address(config.redis_url)
        urls = self._named.sentinel_urls()
        super().__init__(msgspec.structs.replace(config, redis_url=urls[0]))  # until a primary is found
        self.config = config
        self._sentinels = [Connection(msgspec.structs.replace(config, redis_url=url)) for url in urls]
        self._primary: tuple[str, int] | None = None
        self._asking: asyncio.Task[Place] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Let calls under way finish, then close every socket."""
        for task in (self._looking, self._asking):
            if task is not None:
                task.cancel()
        await super().close()
        for sentinel in self._sentinels:
            await sentinel.close()

    # --- who is the primary ------------------------------------------------------------

    async def _find(self) -> None:
        self._follow(await self._ask())
        if not self._closed and (self._looking is None or self._looking.done()):
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="redis-sentinels")

    def _follow(self, place: Place) -> bool:
        """Lead new connections to the primary; True when it is another one than before."""
        _, host, port = place
        if self._primary == (host, port):
            return False
        first, self._primary = self._primary is None, (host, port)
        self._pool = pool_of(self._named.primary_url(host, port))
        return not first

    async def _look(self) -> None:
        """Leave a primary that has been replaced, even one that hangs with calls under way."""
        while not self._closed:
            await asyncio.sleep(_LOOK_S)
            try:
                moved = self._follow(await self._ask())
            except ServerUnavailable:
                continue  # without Sentinels there is no failover either
            if moved:
                self._renew()
                for wire in list(self._wires):
                    wire.close()

    async def _connect(self) -> Wire:
        async with asyncio.timeout(_CONNECT_S):
            return await super()._connect()

    def _accept(self, said: dict[bytes, bytes]) -> None:
        if said.get(b"role", b"master") != b"master":
            raise WriteRefused(
                "A failover is under way: the server that the Sentinels name is no primary yet.", reason="READONLY"
            )

    async def _ask(self) -> Place:
        """The newest answer of a majority of the Sentinels; those who ask at the same time share it."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._majority(), name="redis-sentinels-ask")
        return await asyncio.shield(self._asking)

    async def _majority(self) -> Place:
        asked = [asyncio.ensure_future(self._ask_one(sentinel)) for sentinel in self._sentinels]
        places: list[Place] = []
        failure: Exception | None = None
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    places.append(await answer)
                except (ServerUnavailable, TimeoutError) as error:
                    failure = error
                if len(places) > len(asked) // 2:
                    break
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if not places:
            hosts = ", ".join(f"{host}:{port}" for host, port in self._named.hosts)
            raise ServerUnavailable(
                f"No Sentinel at {hosts} names a primary for {self._named.service!r}:"
                f" {str(failure) or 'they do not answer in time'}"
            )
        return max(places)

    async def _ask_one(self, sentinel: Connection) -> Place:
        async with asyncio.timeout(_ASK_S):
            try:
                flat = await sentinel.call("SENTINEL", "MASTER", self._named.service)
            except ResponseError as error:
                raise ServerUnavailable(f"{error}. Check the service and the login in REDIS_URL.") from None
        said = dict(zip(flat[::2], flat[1::2], strict=True))
        return int(said[b"config-epoch"]), said[b"ip"].decode(), int(said[b"port"])
