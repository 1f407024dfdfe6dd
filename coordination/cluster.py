"""The same calls on a cluster: each goes to the node that holds its key.

Keys that a script or a read names together share a slot (see ``keys``). A blocked read of streams
in several slots becomes one read for each slot; those that are still blocked when the first
answers go on, and the next call of the same reader takes up their answers, so that no entry that
the server has delivered is lost on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import urlsplit

import msgspec
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

from coordination.config import Config
from coordination.connection import Connection
from coordination.errors import ServerUnavailable
from coordination.keys import Keys
from coordination.scripts import whole
from coordination.wire import Command

_TRIES = 5  # of one call while slots move
_PAUSE_S = 0.05
_SLOTS = 16_384

_KEYLESS = frozenset(["CLUSTER", "CONFIG", "DBSIZE", "INFO", "PING", "PUBSUB", "SCRIPT", "TIME", "WAIT", "WAITAOF"])
_SECOND = frozenset(("XGROUP", "XINFO"))  # a subcommand stands before the key

Reader = tuple[Any, ...]  # verb, GROUP, group, consumer
Part = tuple[int, tuple[Any, ...]]  # slot, streams and ids


class ClusterConnection(Connection):
    """Access to a cluster in the manner of ``Connection``; one batch for each node and loop tick."""

    one_server = False

    def __init__(self, config: Config) -> None:
        self.config = config
        self.keys = Keys(config.prefix, config.shards)
        self._closed = False
        self._seed = urlsplit(config.redis_url)
        self._login = f"{self._seed.netloc.rpartition('@')[0]}@" if "@" in self._seed.netloc else ""
        self._nodes: dict[str, Connection] = {}
        self._owners: list[str] = []  # by slot: host:port; empty while unknown
        self._known: list[str] = []  # the owners when they were known last
        self._moves = 0
        self._learning = asyncio.Lock()
        self._calls: set[asyncio.Task[Any]] = set()
        self._reads: dict[Reader, dict[Part, asyncio.Task[Any]]] = {}

    async def close(self) -> None:
        """Let calls under way finish, end blocked reads, close every socket."""
        self._closed = True
        for reader in list(self._reads):
            self._drop(reader)
        if self._calls:
            await asyncio.wait(self._calls, timeout=5.0)
        for node in self._nodes.values():
            await node.close()

    @property
    def generation(self) -> int:
        """Grows when a node is replaced or started anew, and when slots move; see ``Connection.generation``."""
        return self._moves + sum(node.generation for node in self._nodes.values())

    # --- calls ----------------------------------------------------------------------

    def call(self, *command: Any) -> asyncio.Future[Any]:
        """Send one command to the node of its key; see ``Connection.call``."""
        task = asyncio.get_running_loop().create_task(self._route(command), name="redis-cluster-call")
        self._calls.add(task)
        task.add_done_callback(self._called)
        return task

    def _called(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # a caller that went away does not have to look

    async def _route(self, command: Command) -> Any:
        return await self._on_node(key_of(command), lambda node: node.call(*command), command)

    async def exchange(self, commands: list[Command]) -> list[Any]:
        """Run commands in order on one connection to the node of the first one's key."""
        answers: list[Any] = await self._on_node(key_of(commands[0]), lambda node: node.exchange(commands), None)
        return answers

    async def _on_node(self, key: Any, run: Any, command: Command | None) -> Any:
        """Run something at the node that holds a key, wherever that moves."""
        for tries in range(_TRIES):
            if self._closed:
                raise ServerUnavailable("The connection to Redis is closed.")
            node = await self._node_of(key)
            try:
                return await run(node)
            except MovedError:
                self._owners = []
            except AskError as error:
                if command is not None:
                    asked = self._node(f"{error.host or self._seed.hostname}:{error.port}")
                    return (await asked.exchange([("ASKING",), whole(command)]))[1]
                await asyncio.sleep(_PAUSE_S)
            except TryAgainError:
                await asyncio.sleep(_PAUSE_S)
            except ClusterDownError as error:
                self._owners = []
                raise ServerUnavailable(f"The cluster of {self._seed.hostname} serves no keys: {error}.") from None
            except ServerUnavailable:
                self._owners = []  # its node may have been replaced
                raise
            await asyncio.sleep(_PAUSE_S * tries)
        raise ServerUnavailable(f"Slots of the cluster of {self._seed.hostname} move too often for a call to arrive.")

    async def nodes(self) -> list[Connection]:
        """One connection for each node that holds slots."""
        return [self._node(address) for address in dict.fromkeys(self._owners or await self._learn())]

    async def one_key_for_each_node(self, name: str) -> list[str]:
        """Keys with this beginning, one at every node that holds slots."""
        owners = self._owners or await self._learn()
        wanted, keys, number = set(owners), [], 0
        while wanted:
            key = f"{name}:{number}"
            owner = owners[key_slot(key.encode())]
            if owner in wanted:
                wanted.discard(owner)
                keys.append(key)
            number += 1
        return keys

    # --- who holds what ------------------------------------------------------------------

    async def _node_of(self, key: Any) -> Connection:
        owners = self._owners or await self._learn()
        return self._node(owners[0 if key is None else slot_of(key)])

    def _node(self, address: str) -> Connection:
        if address not in self._nodes:
            url = f"redis://{self._login}{address}/0"
            self._nodes[address] = Connection(msgspec.structs.replace(self.config, redis_url=url))
            self._nodes[address].limit_s = self.limit_s
        return self._nodes[address]

    async def _learn(self) -> list[str]:
        """Ask any node that answers which node holds which slot."""
        async with self._learning:
            if self._owners:
                return self._owners
            failure = ServerUnavailable("No node of the cluster answers.")
            seed = f"{self._seed.hostname}:{self._seed.port or 6379}"
            for address in dict.fromkeys([seed, *self._nodes]):
                try:
                    owners = _owners(await self._node(address).call("CLUSTER", "SLOTS"), address)
                except ServerUnavailable as error:
                    failure = error
                    continue
                if "" not in owners:
                    self._moves += owners != self._known and bool(self._known)
                    self._owners = self._known = owners
                    return owners
                failure = ServerUnavailable(f"The cluster of {seed} does not hold all slots.")
            raise failure

    # --- blocked reads ----------------------------------------------------------------

    async def blocking(self, *command: Any) -> Any:
        """Run a blocking read; returns when the first of its slots answers."""
        reader, head, parts = split_read(command)
        reads = self._reads.setdefault(reader, {})
        for part in parts:
            if part not in reads:
                read = (*head, "STREAMS", *part[1])
                reads[part] = asyncio.get_running_loop().create_task(self._read(part[1][0], read), name="redis-read")
        try:
            await asyncio.wait(reads.values(), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._drop(reader)
            raise
        return self._answers(reads)

    async def finish_blocking(self, group: str, consumer: str) -> list[Any]:
        """Wait for reads of a consumer that are still blocked, so that nothing is delivered to it unseen."""
        reads = self._reads.get(("XREADGROUP", "GROUP", group, consumer), {})
        if not reads:
            return []
        await asyncio.wait(reads.values())
        return self._answers(reads) or []

    async def _read(self, key: Any, command: Command) -> Any:
        return await self._on_node(key, lambda node: node.blocking(*command), None)

    def _answers(self, reads: dict[Part, asyncio.Task[Any]]) -> list[Any] | None:
        found: list[Any] = []
        failure: BaseException | None = None
        for part, task in list(reads.items()):
            if not task.done():
                continue
            del reads[part]
            try:
                found += task.result() or []
            except Exception as error:
                failure = error
        if failure is not None and not found:
            raise failure
        return found or None

    def _drop(self, reader: Reader) -> None:
        for task in self._reads.pop(reader, {}).values():
            task.cancel()
            task.add_done_callback(_look_away)


def _look_away(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def slot_of(key: Any) -> int:
    """The slot of a key."""
    return int(key_slot(key if isinstance(key, bytes) else str(key).encode()))


def key_of(command: Command) -> Any:
    """The first key that a command names, or None."""
    name = command[0]
    if name in _KEYLESS:
        return None
    if name in ("EVALSHA", "EVAL"):
        return command[3] if int(command[2]) else None
    if name in ("XREADGROUP", "XREAD"):
        return command[command.index("STREAMS") + 1]
    with contextlib.suppress(IndexError):
        return command[2 if name in _SECOND else 1]
    return None


def split_read(command: Command) -> tuple[Reader, Command, list[Part]]:
    """A read of streams: whose it is, what stands before the streams, and the streams with their ids by slot."""
    at = command.index("STREAMS")
    streams = command[at + 1 :]
    half = len(streams) // 2
    by_slot: dict[int, list[tuple[Any, Any]]] = {}
    for stream, after in zip(streams[:half], streams[half:], strict=True):
        by_slot.setdefault(slot_of(stream), []).append((stream, after))
    parts = [
        (slot, (*(stream for stream, _ in pairs), *(after for _, after in pairs))) for slot, pairs in by_slot.items()
    ]
    reader = command[:4] if command[0] == "XREADGROUP" else ("XREAD", *streams[:half])
    return reader, command[:at], parts


def _owners(slots: list[Any], asked: str) -> list[str]:
    owners = [""] * _SLOTS
    for first, last, (host, port, *_), *_replicas in slots:
        address = f"{host.decode() or asked.rpartition(':')[0]}:{port}"
        owners[first : last + 1] = [address] * (last - first + 1)
    return owners
