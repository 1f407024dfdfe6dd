"""Keeps this instance in the service registry, and learns there what operators want of it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping

import msgspec
import structlog

from agents.handlers import Handler
from agents.ledger import Ledger
from agents.routing import Capabilities
from coordination.connection import Connection
from coordination.registry import Ramp, parse_pauses
from coordination.registry import Registration as Entry
from coordination.scripts import GONE, REFUSED

log = structlog.get_logger("agents")

_encode = msgspec.json.Encoder().encode


class Orders(msgspec.Struct, frozen=True):
    """What a heartbeat brings back."""

    draining: bool
    paused: frozenset[str]
    ramps: dict[str, Ramp]


class Registrar:
    """Registers one instance and beats for it.

    An instance that was declared dead never comes back under the same name: it takes a new
    incarnation, because others have taken over what the old one held.
    """

    def __init__(
        self,
        connection: Connection,
        ledger: Ledger,
        handlers: Mapping[str, Handler],
        *,
        name: str,
        version: str = "",
        remote: str = "",
        capabilities: Capabilities,
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._handlers = handlers
        self._name = name
        self._version = version
        self._remote = remote
        self._started_ms = 0
        self._capabilities = {name: dict(values) for name, values in capabilities.items() if values}
        self.renamed: Callable[[], None] = lambda: None
        self.incarnate()

    def incarnate(self) -> None:
        """Take a name that no instance has ever had."""
        self._ledger.instance = f"{self._name}-{uuid.uuid4().hex[:10]}"

    @property
    def _orphan(self) -> str:
        return f"{self._ledger.instance}|{next(iter(self._handlers))}"

    async def register(self) -> None:
        """Enter the registry; take a new incarnation when this one was declared dead."""
        keys = self._connection.keys
        clock = await self._connection.call("TIME")
        self._started_ms = self._started_ms or int(clock[0]) * 1000
        while True:
            args = [self._ledger.instance, _encode(self._entry()), _encode(self._ledger.status()), self._orphan]
            answer = await self._connection.script(
                "register_agent", [keys.agent_beats, keys.agents, keys.agent_status, keys.orphans], args
            )
            if answer[0] == 1:
                self._note_clock(answer[1])
                return
            self.incarnate()

    async def beat(self) -> Orders:
        """Beat once; registers again when the registry has forgotten this instance."""
        keys = self._connection.keys
        answer = await self._connection.script(
            "beat_agent",
            [keys.agent_beats, keys.agent_status, keys.draining, keys.paused, keys.orphans],
            [self._ledger.instance, _encode(self._ledger.status()), self._orphan],
        )
        if answer[0] == 1:
            self._note_clock(answer[1])
            paused, ramps = parse_pauses(answer[3], answer[1])
            return Orders(bool(answer[2]), frozenset(paused), ramps)
        before = self._ledger.instance
        if answer[0] == REFUSED:
            self.incarnate()
        await self.register()
        cause = "the registry was lost" if answer[0] == GONE else "it had been declared dead"
        log.warning(
            "registered again", action="agent.registered", agent=self._ledger.instance, before=before, cause=cause
        )
        self.renamed()
        return await self.beat()

    async def lengths(self, streams: list[str]) -> list[int]:
        """The lengths of streams."""
        call = self._connection.call
        return [int(length) for length in await asyncio.gather(*(call("XLEN", stream) for stream in streams))]

    async def leave(self) -> bool:
        """Leave the registry and the instance's queues to the others. Returns whether it was still in."""
        return await bury(self._connection, self._ledger.instance, b"", list(self._handlers)) == 1

    def _note_clock(self, server_ms: int) -> None:
        self._ledger.clock_offset_ms = server_ms - time.monotonic() * 1000

    def _entry(self) -> Entry:
        handlers = self._handlers
        return Entry(
            id=self._ledger.instance,
            name=self._name,
            types=list(handlers),
            capabilities=self._capabilities,
            schemas={name: handler.schemas() for name, handler in handlers.items()},
            version=self._version or next((h.version for h in handlers.values() if h.version), ""),
            concurrency=self._ledger.concurrency,
            started_ms=self._started_ms,
            pid=os.getpid(),
            machine=socket.gethostname(),
            remote=self._remote,
        )


async def bury(connection: Connection, instance: str, beat: bytes, types: list[str]) -> int:
    """Take an instance out of the registry unless it has beaten since: 1, -2, or -1 when it was out already."""
    keys = connection.keys
    answer: int = await connection.script(
        "bury_agent",
        [keys.agent_beats, keys.agents, keys.agent_status, keys.draining, keys.orphans],
        [instance, beat, *types],
    )
    return answer
