"""What faults act on, and where they note what they did."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from coordination.connection import Connection
from coordination.errors import TryAgain
from coordination.keys import COORDINATORS_GROUP
from tests.chaos.crew import Crew, Member
from tests.chaos.drive import Driver

SUSPECTED_MS = 2_000  # how long after a fault's end a suspicion may still be its doing
_MOST_HELD = 5_000  # entries of one stream that are looked at
_ONE_SIDED = ("half_open", "network_away", "network_silent", "connections_cut")  # what need not hit all alike


class Fault(msgspec.Struct):
    """One that happened.

    Attributes:
        name: Its kind.
        target: The process, or what else was hit.
        at_ms: When, by the machine's clock, which is the server's here.
        until_ms: When what was done to it ended.
        host: Incarnation of the coordinator host that was hit.
        figures: What was measured about this one.
    """

    name: str
    target: str
    at_ms: int
    until_ms: int = 0
    host: str = ""
    figures: dict[str, float] = {}


def now_ms() -> int:
    """The machine's clock."""
    return int(time.time() * 1000)


class Scene:
    """The processes, a way to the server that no fault touches, the driver, and what has happened.

    Attributes:
        fired: Every fault, in order.
        broken: What did not hold while a fault was at work, a line each.
        held: Workflows that a host held when it was told to stop, by the fault's place in ``fired``.
        bad: Workflows that must end as questions to people about run() itself.
        stopping: Set it, and no further fault begins.
    """

    def __init__(self, crew: Crew, connection: Connection, driver: Driver, seed: int) -> None:
        self.crew = crew
        self.connection = connection
        self.driver = driver
        self.seed = seed
        self.rng = random.Random(seed)
        self.fired: list[Fault] = []
        self.broken: list[str] = []
        self.held: dict[int, set[str]] = {}
        self.bad: list[str] = []
        self.stopping = False

    def note(self, name: str, target: str, host: str = "") -> Fault:
        """Note a fault that happens now; it ends now too, unless its ``until_ms`` is set later."""
        at_ms = now_ms()
        fault = Fault(name, target, at_ms, at_ms, host)
        self.fired.append(fault)
        return fault

    async def ask(self, *command: Any) -> Any:
        """One command that may be repeated, until the server answers: it may just have been started again."""
        while True:
            try:
                return await self.connection.call(*command)
            except TryAgain:
                await asyncio.sleep(0.1)

    async def incarnation(self, member: Member) -> str:
        """The id under which a host process beats, "" when it does not."""
        for raw in (await self.ask("HVALS", self.connection.keys.hosts)) or []:
            said = msgspec.json.decode(raw)
            if said["pid"] == member.pid:
                return str(said["id"])
        return ""

    async def held_by(self, host: str) -> dict[str, int]:
        """The workflows whose entries are pending with a host, with their epochs."""
        call, keys = self.ask, self.connection.keys
        found: dict[str, int] = {}
        for shard in range(keys.shards):
            for stream in (keys.resumes(shard), keys.workflows(shard)):
                rows = await call("XPENDING", stream, COORDINATORS_GROUP, "-", "+", _MOST_HELD, host)
                pending = {row[0] for row in rows}
                entries = await call("XRANGE", stream, "-", "+", "COUNT", _MOST_HELD) if pending else []
                for name in (fields[1].decode() for entry, fields in entries if entry in pending):
                    found[name] = int(await call("HGET", keys.workflow(name), "epoch") or 0)
        return found


def cut_off(scene: Scene) -> list[tuple[int, int]]:
    """When single processes could not reach the server while others could, so that they were rightly suspected."""
    return [(f.at_ms, f.until_ms + SUSPECTED_MS) for f in scene.fired if f.name in _ONE_SIDED]


Kind = Callable[[Scene], Awaitable[None]]
