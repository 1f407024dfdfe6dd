"""A coordinator host: one process, one event loop, thousands of coordinators.

Invariant 11: safety never depends on time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from importlib import metadata
from typing import Any

import msgspec
import structlog
from redis.exceptions import ResponseError

from coordination import catalog
from coordination import journal as j
from coordination.at_work import AtWork
from coordination.blocked import LoopGuard, Suspects, crash_error
from coordination.collecting import memory_bytes
from coordination.connection import Connection
from coordination.coordinator import DistributedCoordinator
from coordination.domain import HostView
from coordination.errors import CodeMissing, LostOwnership, ProgramError, ServerUnavailable, WorkflowCodeChanged
from coordination.execution import Execution
from coordination.keys import COORDINATORS_GROUP
from coordination.leases import Lease, Leases
from coordination.lost import Lost
from coordination.machine import Machine
from coordination.reading import Reader
from coordination.registry import Registry
from coordination.rescue import Rescue
from coordination.rewind import missing
from coordination.sweeper import Sweeper
from coordination.watchdog import Watchdog
from coordination.writing import Writer

log = structlog.get_logger(__name__)

_RESCUE_S = 2.0
_REFRESH_S = 1.0
_UNRUNNABLE_DELAY_MS = 5_000


def _version() -> str:
    try:
        return metadata.version("ganglion")
    except metadata.PackageNotFoundError:
        return "source"


class Host:
    """Runs workflows until it is stopped; see ``run``.

    Attributes:
        id: Its incarnation, never used again.
        executions: The workflows in memory, by id.
        peers: The other live hosts.
        starting: Claims and first turns under way.
        at_work: Those of the workflows in memory that move.
        healthy: Whether the server answers.
    """

    def __init__(self, connection: Connection, name: str = "coordinator") -> None:
        self.connection = connection
        self.config = connection.config
        self.name = name
        self.pid = os.getpid()
        self.machine = socket.gethostname()
        self.version = _version()
        self.types = sorted(catalog.workflow_types())
        self.registry = Registry(connection)
        self.loop = asyncio.get_running_loop()
        self.executions: dict[str, Execution] = {}
        self.at_work = AtWork()
        self.peers: set[str] = set()
        self.healthy = True
        self.stopping = False
        self.executing = ""  # the workflow whose run() was entered last
        self.takeovers = 0
        self.finished = 0
        self.started_ms = 0
        self._skew_ms = 0.0
        self._beat_skew_ms = 0.0
        self.suspects = Suspects(self)
        self.rescue = Rescue(self)
        self._sweeper = Sweeper(self)
        self._reader = Reader(self, self._sweeper)
        self._lost = Lost(self)
        self.starting: set[asyncio.Task[Any]] = set()
        self._alone: set[asyncio.Task[None]] = set()  # first turns that wait for each other
        self._claiming: set[str] = set()  # workflows whose claim is under way
        self._missed: set[str] = set()  # those of them that were told of an entry meanwhile
        self.beating = asyncio.Event()  # whether peers can see that this life has begun: it takes nothing before
        self._new_life()

    def _new_life(self) -> None:
        self.id = f"{self.name}-{secrets.token_hex(4)}"
        self.beating.clear()
        self.leases = Leases(self.connection, self.id)
        self.writer = Writer(self)

    # --- clock and room -------------------------------------------------------------

    def now_ms(self) -> int:
        """The server's clock, as last heard and carried on by this process's monotonic one."""
        return int(time.monotonic() * 1000 + self._skew_ms)

    def note_time(self, server_ms: int) -> None:
        """Learn the server's clock from an answer; of one that was set only ``note_beat`` learns, for all at once."""
        skew_ms = server_ms - time.monotonic() * 1000
        if not self._beat_skew_ms or abs(skew_ms - self._beat_skew_ms) < j.CLOCK_SET_MS:
            self._skew_ms = skew_ms

    def note_beat(self, server_ms: int, at: float) -> None:
        """Learn the server's clock from a beat; when it was set, look at everything, because looks may come late.

        Args:
            server_ms: The server's clock.
            at: The same moment by this process's monotonic clock, s.
        """
        skew_ms = server_ms - at * 1000
        moved_ms, self._beat_skew_ms = skew_ms - (self._beat_skew_ms or skew_ms), skew_ms
        if abs(moved_ms) < j.CLOCK_SET_MS:
            return
        log.warning("the server's clock was set", action="clock_set", host=self.id, moved_s=round(moved_ms / 1000, 1))
        self._skew_ms = skew_ms
        for execution in list(self.executions.values()):
            execution.clock_set(int(moved_ms))
        self._sweeper.look_at_everything_soon()

    def room(self) -> int:
        """Workflows that still fit."""
        return max(0, self.config.host_capacity - len(self.executions) - len(self.starting))

    def room_at_work(self) -> int:
        """New workflows that may begin, where they fit."""
        return max(0, self.config.host_at_work - self.at_work.count() - len(self.starting))

    def retry_s(self) -> float:
        """Delay before a call to a server that did not answer is tried again."""
        return random.uniform(0.1, 0.4)

    # --- life -----------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be at work inside the block; hand every workflow over at its end."""
        seconds, micros = await self.connection.call("TIME")
        self.note_time(int(seconds) * 1000 + int(micros) // 1000)
        self.started_ms = self.now_ms()
        await self._reader.prepare()
        await self._lost.look()
        await self.registry.refresh()
        guard = LoopGuard(self, self.config.blocked_s)
        self._watchdog = Watchdog(self, guard.sign)
        beating = asyncio.create_task(self._watchdog.run(), name="beating")
        work = [asyncio.create_task(_kept(guard.run), name="signs")]
        try:
            await self.beating.wait()
            await self._tell("started")
            loops = (self._reader.fetch, self._reader.listen, self._sweeper.run, self._refresh, self._rescue)
            work += [asyncio.create_task(_kept(loop), name=loop.__qualname__) for loop in loops]
            yield
        finally:
            await self._stop(beating, work)

    def describe(self) -> HostView:
        """What this host says of itself in the registry."""
        return HostView(
            id=self.id, name=self.name, alive=True, beat_age_ms=0, held=len(self.executions),
            capacity=self.config.host_capacity, started_ms=self.started_ms, pid=self.pid, machine=self.machine,
            rss_bytes=memory_bytes(), version=self.version, types=self.types, takeovers=self.takeovers,
            draining=self.stopping, at_work=self.at_work.count(), at_work_most=self.config.host_at_work,
        )  # fmt: skip

    async def _stop(self, beating: asyncio.Task[None], work: list[asyncio.Task[None]]) -> None:
        self.stopping = True
        signs, *others = work
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.rescue.stop()
        if self.starting:
            await asyncio.wait(self.starting, timeout=self.config.drain_s)
        await asyncio.gather(*(e.stop() for e in list(self.executions.values())), return_exceptions=True)
        rest = [beating, signs, *self._alone]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        keys = self.connection.keys
        with contextlib.suppress(ServerUnavailable, ResponseError):
            streams = [stream(shard) for shard in range(keys.shards) for stream in (keys.workflows, keys.resumes)]
            leave = [COORDINATORS_GROUP, self.id]
            await asyncio.gather(*(self.connection.script("retire_consumer", [stream], leave) for stream in streams))
            arguments = [self.id, "", self.id, 0, "stopped"]
            registry = [keys.beats, keys.hosts, keys.host_events, keys.beat_times]
            await self.connection.script("declare_dead", registry, arguments)
            await self.connection.call("DEL", keys.inbox(self.id))

    async def fenced(self) -> None:
        """The server does not know this host any more: drop everything and begin a new life."""
        log.warning(
            "declared dead by a peer, or the server lost its data; starting anew",
            action="fenced", host=self.id, held=len(self.executions),
        )  # fmt: skip
        for execution in list(self.executions.values()):
            execution.abandon()
        self._new_life()
        self._reader.begin_anew()

    def recovered(self, queues_lost: bool) -> None:
        """The server answers again: look at every journal, because wake-ups may be lost.

        Args:
            queues_lost: It is another server, or was started anew, and may lack what was queued last.
        """
        self.healthy = True
        for execution in list(self.executions.values()):
            execution.deliver(None, queue_again=queues_lost)

    async def _tell(self, kind: str) -> None:
        stream = self.connection.keys.host_events
        event = ["XADD", stream, "MAXLEN", "~", 10_000, "*", "k", kind, "host", self.id, "t", self.now_ms()]
        await self.connection.call(*event)

    # --- workflows --------------------------------------------------------------------------

    def machine_for(self, workflow_id: str, fields: dict[str, bytes]) -> Machine:
        """A fresh machine for a workflow.

        Raises:
            CodeMissing: This host does not have its code.
            WorkflowCodeChanged: Its input is not what the code takes.
        """
        name, version = fields["type"].decode(), int(fields["version"])
        definition = catalog.find(name, version)
        if definition is None:
            raise CodeMissing(f"No host has code for version {version} of {name!r}. Deploy it, then retry.")
        args: tuple[Any, ...] = ()
        try:
            if definition.input_type is not None:
                args = (msgspec.json.decode(fields["input"], type=definition.input_type),)
        except msgspec.MsgspecError as error:
            raise WorkflowCodeChanged(
                f"The input of {workflow_id} does not fit {name!r} any more: {error}. "
                "Deploy the code it began with, or raise the version for new code; then retry."
            ) from None
        return Machine(definition(workflow_id), args, self.config.backoff_s, self.config.backoff_max_s)

    async def take_up(self, workflow_id: str, entry: str, previous: str = "", crashed: bool = False) -> Lease | None:
        """Claim a workflow and begin to run it; a failure leaves its entry pending, to be taken up again.

        Args:
            workflow_id: The workflow.
            entry: Where its entry stands, as ``Leases.claim`` takes it.
            previous: Its owner, when that is known to be dead.
            crashed: The owner died while it ran this workflow alone.

        Returns:
            What the workflow was taken up with; None when it was not.
        """
        self._claiming.add(workflow_id)
        try:
            lease = await self.leases.claim(workflow_id, entry, previous)
            if lease is not None:
                await self._begin(lease, crashed)
            return lease
        except (ServerUnavailable, ResponseError, LostOwnership) as error:  # Sweeper.rescue_own finds the pending entry
            log.debug(str(error), action="not_taken_up", workflow=workflow_id)
        except Exception:
            log.exception("workflow could not be taken up", action="bug", workflow=workflow_id)
        finally:
            self._claiming.discard(workflow_id)
            self._missed.discard(workflow_id)
        return None

    def has(self, workflow_id: str) -> bool:
        """Whether a workflow is in memory, or on its way there."""
        return workflow_id in self.executions or workflow_id in self._claiming

    def deliver(self, workflow_id: str, item: j.Numbered | None) -> None:
        """Hand a journal entry to a workflow in memory; None: its journal may have grown."""
        execution = self.executions.get(workflow_id)
        if execution is not None:
            execution.deliver(item)
        elif workflow_id in self._claiming:  # it came after the claim and before the claim's answer
            self._missed.add(workflow_id)

    def take_up_soon(self, workflow_id: str, entry: str) -> None:
        """Take a workflow up beside what runs; it counts as one in memory from now on."""
        self._count(self.loop.create_task(self.take_up(workflow_id, entry), name=f"take-up-{workflow_id}"))

    def _count(self, task: asyncio.Task[Any]) -> None:
        """Let a task count as a workflow that is being taken up until it ends."""
        self.starting.add(task)
        task.add_done_callback(self.starting.discard)

    async def _begin(self, lease: Lease, crashed: bool) -> None:
        self.note_time(lease.now_ms)
        waits = 0
        while waits < 20 and lease.now_ms < self.now_ms() - j.CLOCK_SET_MS:  # it was set back: the next beat tells
            waits += 1
            await asyncio.sleep(self.config.heartbeat_s / 10)
        if known := self.executions.get(lease.workflow_id):
            known.abandon()
        if ended := j.terminated(lease.entries):
            bare = Machine(DistributedCoordinator(lease.workflow_id), (), 0, 0)
            execution = self.executions[lease.workflow_id] = Execution(self, lease, bare)
            self._count(execution.end_at_once(ended))
            return
        trouble: ProgramError | None = crash_error(lease.workflow_id) if crashed else None
        try:
            machine = self.machine_for(lease.workflow_id, lease.fields)
            trouble = trouble or missing(lease)
            if "unrunnable" in lease.fields:  # should its code be missing again, the time begins anew
                await self.connection.call("HDEL", self.connection.keys.workflow(lease.workflow_id), "unrunnable")
        except ProgramError as error:
            if isinstance(error, CodeMissing) and await self._without_code(lease, error):
                return
            machine = Machine(DistributedCoordinator(lease.workflow_id), (), 0, 0)
            trouble = error
        execution = self.executions[lease.workflow_id] = Execution(self, lease, machine)
        if lease.workflow_id in self._missed:
            execution.reread()
        if trouble is not None:
            self._count(execution.ask(trouble))
        elif previous_stalls(lease):
            task = self.loop.create_task(self._run_alone(execution), name=f"alone-{lease.workflow_id}")
            self._alone.add(task)
            task.add_done_callback(self._alone.discard)
        else:
            self._count(execution.start())

    async def _run_alone(self, execution: Execution) -> None:
        """Run the first turn of a workflow that may end this process, beside no other such."""
        try:
            async with self.suspects.marked(execution.workflow_id):
                abandoned = self.executions.get(execution.workflow_id) is not execution  # while it waited for its turn
                if not abandoned:
                    await asyncio.wait([execution.start()])
        except (ServerUnavailable, ResponseError) as error:  # Sweeper.rescue_own finds the pending entry
            log.debug(str(error), action="not_marked", workflow=execution.workflow_id)
            execution.abandon()

    async def _without_code(self, lease: Lease, error: CodeMissing) -> bool:
        """Leave a workflow to a host that has its code; False when none has appeared for too long."""
        workflow = self.connection.keys.workflow(lease.workflow_id)
        since_ms = int(lease.fields.get("unrunnable", lease.now_ms))
        if lease.now_ms - since_ms >= self.config.no_agent_s * 1000:
            await self.connection.call("HDEL", workflow, "unrunnable")
            return False
        log.warning(str(error), action="unrunnable", workflow=lease.workflow_id)
        await self.connection.call("HSETNX", workflow, "unrunnable", lease.now_ms)
        delay_ms = min(_UNRUNNABLE_DELAY_MS, int(self.config.no_agent_s * 500))
        await self.leases.release(lease.workflow_id, lease.epoch, delay_ms)
        return True

    # --- loops ---------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        while True:
            with contextlib.suppress(ServerUnavailable):
                await self.registry.refresh()
            await asyncio.sleep(_REFRESH_S)

    async def _rescue(self) -> None:
        """Take over what no live host holds, and what this one holds without running it."""
        while True:
            if self.healthy and self.beating.is_set() and not self.stopping:
                try:
                    await self.rescue.run()
                    await self._sweeper.rescue_own()
                    await self._lost.look()
                    await self.rescue.retire()
                except (ServerUnavailable, ResponseError) as error:
                    log.debug(str(error), action="rescue_failed")
            await asyncio.sleep(random.uniform(0.8, 1.2) * _RESCUE_S)


def previous_stalls(lease: Lease) -> int:
    """How often in a row a workflow was taken over without having moved."""
    return int(lease.fields.get("stalls", b"0"))


async def _kept(loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Keep one of the host's loops at work, whatever happens in it."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("a loop of the host failed and starts again", action="bug", loop=loop.__qualname__)
        await asyncio.sleep(1.0)
