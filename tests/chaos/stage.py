"""What scenarios of lost data share: real processes under load, a witness of every promise, and the count at the end.

A fault that destroys data takes some promises with it. Which ones is computed before the end is looked at: the
*allowance*. What is in it may end with a clear error; everything else must end right.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from redis.exceptions import ResponseError

from coordination import catalog
from coordination.async_client import Client
from coordination.config import current
from coordination.connection import Connection
from coordination.domain import Reason
from coordination.errors import BadRequest, GanglionError, TryAgain
from coordination.keys import AGENTS_GROUP, COORDINATORS_GROUP, PRIORITIES, RELAY_GROUP
from tests.chaos import ledger, plans
from tests.chaos.crew import Crew, Member
from tests.chaos.scenarios import Options, Outcome
from tests.servers import RedisServer

T = TypeVar("T")

_FIRST_S = 90.0  # for the processes to start and the first workflows to end
_ANSWER_S = 0.2  # between two looks at the open escalations


class Promise:
    """One accepted workflow, by the monotonic clock: asked for, given (acknowledged), kept (its end was told)."""

    __slots__ = ("asked", "expected", "found", "given", "kept", "number")

    def __init__(self, number: int, asked: float, given: float, expected: int) -> None:
        self.number = number  # of its plan
        self.asked = asked
        self.given = given
        self.kept = 0.0
        self.expected = expected
        self.found: int | str | None = None

    @property
    def is_right(self) -> bool:
        """Whether the workflow gave what it must."""
        return self.found == self.expected


class Load:
    """Keeps workflows in flight, answers people's questions, and remembers every promise.

    Attributes:
        promises: By workflow id.
        refusals: Kind of error to how often a call was told to try again.
        torn: Workflows that people were asked about because they cannot be replayed; they were ended as failed.
        stopping: Set it, and nothing more is submitted.
    """

    def __init__(self, client: Client, seed: int, in_flight: int) -> None:
        self._client = client
        self._seed = seed
        self._in_flight = in_flight
        self._number = 0
        self.promises: dict[str, Promise] = {}
        self.refusals: Counter[str] = Counter()
        self.torn: set[str] = set()
        self.ended = 0
        self.stopping = False

    async def run(self) -> None:
        """Drive until ``stopping`` is set and every promise is kept or told lost."""
        catalog.discover()
        answering = asyncio.create_task(self._answer(), name="answer")
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._in_flight):
                    group.create_task(self._lane())
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _lane(self) -> None:
        while not self.stopping:
            number, asked = self._number, time.monotonic()
            self._number += 1
            plan, key = plans.make(self._seed, number), f"{self._seed}/{number}"
            identity = await self._insist(lambda: self._client.submit("chaos", plan, key=key))  # noqa: B023 awaited here
            promise = self.promises[identity] = Promise(number, asked, time.monotonic(), plans.total(plan))
            async with asyncio.TaskGroup() as group:
                for signal in plans.signals(plan):
                    group.create_task(self._signal(identity, signal))
                group.create_task(self._result(identity, promise))

    async def _signal(self, identity: str, signal: plans.Signal) -> None:
        await asyncio.sleep(0.1)
        with contextlib.suppress(BadRequest):  # it was lost: its result tells
            await self._insist(lambda: self._client.signal(identity, signal.name, signal.value, signal_id=signal.name))

    async def _result(self, identity: str, promise: Promise) -> None:
        try:
            promise.found = await self._insist(lambda: self._client.result(identity, timeout_s=5, returns=int))
        except GanglionError as error:
            promise.found = f"{type(error).__name__}: {error}"
        promise.kept = time.monotonic()
        self.ended += 1

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except TryAgain as error:
                self.refusals[type(error).__name__] += 1
                await asyncio.sleep(0.1)

    async def _answer(self) -> None:
        while True:
            with contextlib.suppress(TryAgain):
                await self.answer()
            await asyncio.sleep(_ANSWER_S)

    async def answer(self) -> None:
        """Answer every escalation that is open."""
        connection, keys = self._client.connection, self._client.connection.keys
        for shard in range(keys.shards):
            for _, fields in await connection.call("XRANGE", keys.escalation_queue(shard), "-", "+", "COUNT", 200):
                with contextlib.suppress(BadRequest):
                    await self._decide(fields[1].decode())

    async def signal_again(self, identity: str) -> None:
        """Send a workflow's signals once more, as whoever sends them would after the server lost them."""
        number = self.promises[identity].number
        for signal in plans.signals(plans.make(self._seed, number)):
            await self._signal(identity, signal)

    async def _decide(self, escalation_id: str) -> None:
        found = await self._client.inspect.escalation(escalation_id)
        if found is None or found.state != "open":
            return
        action, value = "supply", None
        if found.reason == Reason.WORKFLOW_CODE_CHANGED:
            self.torn.add(found.workflow_id)
            action = "fail"
        else:
            value = found.input["value"]
            value = {"value": value} if found.reason == Reason.HUMAN_INPUT_REQUESTED else value
        await self._client.commands.decide(
            escalation_id, version=found.version, action=action, actor="chaos",
            decision_id=f"{escalation_id}/{found.version}", value=value,
        )  # fmt: skip


class Stage:
    """The processes, the load, and what the scenario found.

    Attributes:
        direct: A connection that bypasses the proxy.
        broken: What did not hold.
        figures: What was measured.
    """

    def __init__(self, options: Options, crew: Crew, client: Client, direct: Connection, in_flight: int) -> None:
        self.options = options
        self.crew = crew
        self.client = client
        self.direct = direct
        self.load = Load(client, options.seed, in_flight)
        self.broken: list[str] = []
        self.figures: dict[str, float | int | str] = {}
        self._driving: asyncio.Task[None] | None = None
        self._pids: dict[str, int] = {}

    def expect(self, held: bool, message: str) -> None:
        """Note what did not hold."""
        if not held:
            self.broken.append(message)

    # --- load ---------------------------------------------------------------------------

    async def drive(self, ended: int = 20) -> None:
        """Begin the load, and return when all processes are ready, the relay too, and so many workflows have ended."""
        self._driving = asyncio.create_task(self.load.run(), name="drive")
        await self.until(self.all_registered, _FIRST_S, "not every process started")
        marked = "SELECT 1 FROM dashboard_relaymark"
        await self.until(lambda: self.history(marked), _FIRST_S, "the relay did not compare history and Redis")
        await self.until(lambda: self.load.ended >= ended, _FIRST_S, "the load did not start")
        self._pids = {member.name: member.pid for member in self.crew.members}

    async def settle(self, within_s: float = 30.0) -> None:
        """Stop submitting, and wait until every promise is kept or told lost."""
        self.load.stopping = True
        assert self._driving is not None
        await asyncio.wait([self._driving], timeout=within_s)
        left = sorted(name for name, promise in self.load.promises.items() if not promise.kept)
        self.expect(not left, f"{len(left)} workflows neither ended nor were told lost: {left[:3]}")
        if self._driving.done() and self._driving.exception() is not None:
            self.broken.append(f"the load broke: {self._driving.exception()!r}")

    async def until(self, condition: Callable[[], Any], within_s: float, what: str, every_s: float = 0.02) -> float:
        """Wait for a condition, plain or async; gives the seconds it took.

        Raises:
            TimeoutError: With what was waited for.
        """
        began = time.monotonic()
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return time.monotonic() - began
            if time.monotonic() - began > within_s:
                raise TimeoutError(f"{what} within {within_s:g} s")
            await asyncio.sleep(every_s)

    async def flows(self, within_s: float = 15.0) -> float:
        """Seconds from now until a workflow that is submitted from now on has ended right."""
        began = time.monotonic()
        await self.until(
            lambda: any(promise.asked >= began and promise.is_right for promise in self._newest()),
            within_s, "new work did not flow",
        )  # fmt: skip
        return time.monotonic() - began

    def _newest(self) -> list[Promise]:
        return list(itertools.islice(reversed(self.load.promises.values()), 2_000))

    # --- the count at the end ---------------------------------------------------------------

    def alive_between(self, began: float, over: float) -> set[str]:
        """The workflows that Redis held at some moment between two: the allowance of what destroys everything."""
        promises = self.load.promises.items()
        return {name for name, p in promises if p.asked <= over and (not p.kept or p.kept >= began)}

    def count(self, allowance: set[str]) -> None:
        """Compare every promise with what became of it; only what is in the allowance may be told lost."""
        lost, broken = 0, []
        for identity, promise in self.load.promises.items():
            if promise.is_right:
                continue
            if identity in allowance and isinstance(promise.found, str):
                lost += 1
            else:
                broken.append(f"{identity}: {promise.found!r}, not {promise.expected}")
        self.figures |= {
            "accepted": len(self.load.promises), "in_the_allowance": len(allowance), "told_lost": lost,
            "broken_promises": len(broken),
        }  # fmt: skip
        self.expect(not broken, f"{len(broken)} workflows outside the allowance did not end right: {broken[:3]}")

    def nobody_died(self, *but: str) -> None:
        """No process may have ended by itself."""
        for member in self.crew.members:
            gone = self._pids.get(member.name) != member.pid
            self.expect(not gone or member.name in but, f"{member.name} ended and was started again")

    def nothing_doubled(self) -> None:
        """No attempt may have been started twice; only where no agent was killed or taken for dead."""
        notes = ledger.read(self.crew.ledger_path)
        starts = Counter((key, number) for event, key, number, *_ in notes if event == "start")
        doubled = [key for key, times in starts.items() if times > 1]
        self.figures |= {"attempts_started": len(starts), "attempts_started_twice": len(doubled)}
        self.expect(not doubled, f"{len(doubled)} attempts were started twice: {doubled[:3]}")

    # --- looking ------------------------------------------------------------------------------

    def history(self, query: str, *values: object) -> list[Any]:
        """Rows of the SQL history."""
        with contextlib.closing(sqlite3.connect(self.crew.history_path, timeout=10)) as database:
            return database.execute(query, values).fetchall()

    async def info(self, section: str) -> dict[str, str]:
        """A section of the server's INFO."""
        text = (await self.direct.call("INFO", section)).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    async def commands_per_s(self, seconds: float) -> float:
        """How much the server has to do, over some seconds."""
        first, began = int((await self.info("stats"))["total_commands_processed"]), time.monotonic()
        await asyncio.sleep(seconds)
        done = int((await self.info("stats"))["total_commands_processed"]) - first
        return done / (time.monotonic() - began)

    async def groups_stand(self) -> bool:
        """Whether every stream has its group."""
        keys = self.direct.keys
        shards = range(keys.shards)
        wanted = [(make(shard), COORDINATORS_GROUP) for make in (keys.workflows, keys.resumes) for shard in shards]
        wanted += [(keys.events(shard), RELAY_GROUP) for shard in shards]
        wanted += [(keys.agent_queue("chaos_work", priority), AGENTS_GROUP) for priority in PRIORITIES]
        try:
            found = await asyncio.gather(*(self.direct.call("XINFO", "GROUPS", stream) for stream, _ in wanted))
        except ResponseError:
            return False
        return all(
            any(row[1].decode() == group for row in rows) for rows, (_, group) in zip(found, wanted, strict=True)
        )

    async def members(self) -> tuple[set[str], set[str]]:
        """The incarnations of hosts and agents that beat."""
        hosts = await self.direct.call("HKEYS", self.direct.keys.beats)
        agents = await self.direct.call("HKEYS", self.direct.keys.agent_beats)
        return {name.decode() for name in hosts}, {name.decode() for name in agents}

    async def all_registered(self) -> bool:
        """Whether every host and every agent beats."""
        hosts, agents = await self.members()
        return len(hosts) == len(self.crew.hosts) and len(agents) == len(self.crew.agents)

    def lines(self, member: Member, *words: str) -> list[str]:
        """Lines of a process's log with all these words."""
        text = (self.crew.folder / f"{member.name}.log").read_text(errors="replace")
        return [line for line in text.splitlines() if all(word in line for word in words)]

    async def start_server(self) -> None:
        """Start the server on its data; it ends with the thread that starts it, so that is the crew's."""
        await asyncio.get_running_loop().run_in_executor(self.crew._starter, self.crew.server.start)

    def outcome(self, name: str) -> Outcome:
        """What was found."""
        figures = {key: round(value, 3) if isinstance(value, float) else value for key, value in self.figures.items()}
        return Outcome(name, not self.broken, figures, self.broken)


@contextlib.asynccontextmanager
async def stage(
    options: Options,
    *,
    hosts: int = 3,
    agents: int = 2,
    in_flight: int = 60,
    server_folder: Path | None = None,
    environ: dict[str, str] | None = None,
    through: Sequence[str] = (),
    prepare: Callable[[Crew], None] = lambda crew: None,
    **settings: str,
) -> AsyncIterator[Stage]:
    """Processes that run inside the block, all ended after it.

    Args:
        options: Of the scenario.
        hosts: Coordinator hosts.
        agents: Agent workers.
        in_flight: Workflows at once.
        server_folder: Where the server keeps its data; by default in the scenario's folder.
        environ: Further settings of the processes.
        through: What runs the server's program, as ``env NAME=value``.
        prepare: Called with the crew before it starts.
        settings: Of the server.
    """
    crew = Crew(options.folder, hosts, agents, settings=environ)
    path = options.folder / "redis.sock"
    crew.server = RedisServer(server_folder or options.folder / "redis", path=path, **{"appendonly": "yes", **settings})
    crew.server._command = [*through, *crew.server._command]
    ours = {name: crew.environ[name] for name in ("REDIS_URL", "GANGLION_HOME", "GANGLION_CHAOS_LEDGER")}
    before = {name: os.environ.get(name) for name in (*ours, "GANGLION_APPS")}
    os.environ.update(ours, GANGLION_APPS="tests.chaos.app")
    current.cache_clear()
    prepare(crew)
    try:
        await asyncio.to_thread(crew.start)
        options.say(f"{hosts} hosts, {agents} agents and a relay start")
        async with Client.open() as client:
            straight = msgspec.structs.replace(current(), redis_url=crew.server.url)
            async with await Connection.open(straight) as direct:
                made = Stage(options, crew, client, direct, in_flight)
                try:
                    yield made
                finally:
                    await _end(made)
    finally:
        await asyncio.to_thread(crew.stop)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        current.cache_clear()


async def _end(made: Stage) -> None:
    driving = made._driving
    if driving is not None and not driving.done():
        driving.cancel()
        with contextlib.suppress(GanglionError):
            await asyncio.gather(driving, return_exceptions=True)
