"""What can go wrong, each by name; every one must have fired by the end of a run."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from coordination.connection import Connection
from tests.chaos.crew import Crew, Member


class Fault(msgspec.Struct):
    """One that happened."""

    name: str
    target: str
    at_ms: int  # the machine's clock, which is the server's here
    host: str = ""  # incarnation of a coordinator host that was hit


class Faults:
    """Fires one fault after another, in a seeded order that leaves none out."""

    def __init__(self, crew: Crew, connection: Connection, seed: int, every_s: float) -> None:
        self._crew = crew
        self._connection = connection
        self._rng = random.Random(seed)
        self._every_s = every_s
        self.fired: list[Fault] = []
        self.kinds: dict[str, Callable[[], Awaitable[Any]]] = {
            "host_sigkill": self._host_sigkill,
            "host_frozen": self._host_frozen,
            "agent_sigkill": self._agent_sigkill,
            "agent_frozen": self._agent_frozen,
            "relay_sigkill": self._relay_sigkill,
            "server_sigkill": self._server_sigkill,
            "server_frozen": self._server_frozen,
            "connections_cut": self._connections_cut,
            "network_slow": self._network_slow,
            "network_silent": self._network_silent,
            "replies_dropped": self._replies_dropped,
        }

    async def run(self) -> None:
        """Fire until cancelled; kills of coordinator hosts stand between the others."""
        while True:
            bag = [*self.kinds, *["host_sigkill"] * (len(self.kinds) // 2)]
            self._rng.shuffle(bag)
            for name in bag:
                await asyncio.sleep(self._every_s)
                await self.kinds[name]()

    async def _incarnation(self, member: Member) -> str:
        """The id under which a host process beats."""
        for raw in (await self._connection.call("HVALS", self._connection.keys.hosts)) or []:
            said = msgspec.json.decode(raw)
            if said["pid"] == member.pid:
                return str(said["id"])
        return ""

    def _note(self, name: str, target: str, host: str = "") -> None:
        self.fired.append(Fault(name, target, int(time.time() * 1000), host))

    async def _host_sigkill(self) -> None:
        member = self._rng.choice(self._crew.hosts)
        host = await self._incarnation(member)
        self._note("host_sigkill", member.name, host)
        member.send(signal.SIGKILL)

    async def _host_frozen(self) -> None:
        member = self._rng.choice(self._crew.hosts)
        host = await self._incarnation(member)
        self._note("host_frozen", member.name, host)
        member.freeze(3.0)

    async def _agent_sigkill(self) -> None:
        member = self._rng.choice(self._crew.agents)
        self._note("agent_sigkill", member.name)
        member.send(signal.SIGKILL)

    async def _agent_frozen(self) -> None:
        member = self._rng.choice(self._crew.agents)
        self._note("agent_frozen", member.name)
        member.freeze(6.0)

    async def _relay_sigkill(self) -> None:
        self._note("relay_sigkill", "relay")
        self._crew.relay.send(signal.SIGKILL)

    async def _server_sigkill(self) -> None:
        await asyncio.sleep(1.1)  # everysec may lose its last second only when the machine dies, not the process
        self._note("server_sigkill", "server")
        await asyncio.to_thread(self._crew.server.kill)
        await asyncio.to_thread(self._crew.server.start)

    async def _server_frozen(self) -> None:
        self._note("server_frozen", "server")
        self._crew.server.send(signal.SIGSTOP)
        await asyncio.sleep(2.0)
        self._crew.server.send(signal.SIGCONT)

    async def _connections_cut(self) -> None:
        self._note("connections_cut", "network")
        self._crew.proxy.cut()

    async def _network_slow(self) -> None:
        """Every packet takes 60 ms longer, for 3 s."""
        self._note("network_slow", "network")
        self._crew.proxy.delay_s = 0.06
        await asyncio.sleep(3)
        self._crew.proxy.delay_s = 0.0

    async def _network_silent(self) -> None:
        """Connections stay open, but nothing arrives for 4 s; then they break."""
        self._note("network_silent", "network")
        self._crew.proxy.silent = True
        await asyncio.sleep(4)
        self._crew.proxy.cut()
        self._crew.proxy.silent = False

    async def _replies_dropped(self) -> None:
        """The server executes, but its replies are lost, for half a second; then connections break."""
        self._note("replies_dropped", "network")
        self._crew.proxy.deaf = True
        await asyncio.sleep(0.5)
        self._crew.proxy.cut()
        self._crew.proxy.deaf = False
