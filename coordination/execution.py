"""One workflow on a host: applies what its journal brings, and writes what run() asks for.

Everything is written before it is acted on. Writes carry the epoch; the first refusal ends the
execution here, because another host has it then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from coordination import journal as j
from coordination.blocked import crash_error
from coordination.ending import DEADLINE, finish, withdrawn_records
from coordination.errors import (
    JournalRewound,
    LostOwnership,
    ProgramError,
    ServerUnavailable,
    StepFailed,
    WorkflowCodeChanged,
)
from coordination.escalations import open_program, open_task
from coordination.leases import Lease, check
from coordination.machine import Machine
from coordination.scripts import REFUSED
from coordination.writing import Batch, publish

if TYPE_CHECKING:
    from coordination.host import Host

log = structlog.get_logger(__name__)

_DAY_MS = 86_400_000


class Execution:
    """Runs one workflow under one epoch until it ends, is parked, handed over or lost."""

    __slots__ = (
        "_broken", "_buffer", "_due_ms", "_fields", "_handle", "_host", "_idle_ms", "_pump_task", "_reread", "_told",
        "_unsure", "epoch", "machine", "seq", "type_name", "workflow_id",
    )  # fmt: skip

    def __init__(self, host: Host, lease: Lease, machine: Machine) -> None:
        self._host = host
        self.workflow_id = lease.workflow_id
        self.type_name = lease.fields["type"].decode()
        self.epoch = lease.epoch
        self.machine = machine
        self.seq = 0
        self._fields = lease.fields
        self._buffer: dict[int, j.Numbered] = {item.seq: item for item in lease.entries}
        self._reread = False
        self._told = (0, 0, 0)
        self._broken = False
        self._unsure = False  # whether a write may have been lost on its way
        self._pump_task: asyncio.Task[None] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._due_ms = 0
        self._idle_ms = lease.now_ms

    # --- from outside ---------------------------------------------------------------

    def deliver(self, item: j.Numbered | None) -> None:
        """Take in a journal entry, or None: the journal may have grown, read it."""
        if item is None:
            self._reread = True
        elif item.seq > self.seq:
            self._buffer[item.seq] = item
        self._wake()

    def _wake(self) -> None:
        if self._pump_task is None:
            self._pump_task = asyncio.get_running_loop().create_task(self._pump(), name=f"pump-{self.workflow_id}")

    async def stop(self) -> None:
        """Wait until what is under way is written, then hand the workflow over."""
        self._disarm()
        if self._pump_task is not None:
            await asyncio.wait([self._pump_task], timeout=self._host.config.drain_s)
        if self.workflow_id in self._host.executions:
            await self._host.leases.release(self.workflow_id, self.epoch)
            self.abandon()

    def abandon(self) -> None:
        """Forget the workflow here, without a write: another host has it, or it has ended."""
        self._disarm()
        self._host.executions.pop(self.workflow_id, None)
        if self._pump_task is not None and self._pump_task is not asyncio.current_task():
            self._pump_task.cancel()
        self.machine.close()

    # --- the loop ----------------------------------------------------------------------

    async def start(self) -> None:
        """Replay the journal, then go on from there; tasks that may have been lost are queued again."""
        self._pump_task = asyncio.current_task()
        replayed = bool(self._buffer)
        asked = j.about_program(self._buffer.values())
        if asked and isinstance(asked[-1], j.Escalated):  # people have not answered yet
            self._broken, self.seq = True, max(self._buffer)
            self._buffer.clear()
        else:
            self._start_machine()
        await self._guard(self._turn(readd=replayed))
        self._pump_task = None
        self._after()

    def _start_machine(self) -> None:
        self._host.executing = self.workflow_id
        self.machine.start(int(self._fields.get("created", b"0")))

    async def _pump(self) -> None:
        try:
            await self._guard(self._turn())
        finally:
            self._pump_task = None
        self._after()

    async def _guard(self, turn: Any) -> None:
        try:
            await turn
        except LostOwnership as error:
            log.debug("workflow left", action="lost", workflow=self.workflow_id, why=str(error))
            self.abandon()
        except JournalRewound as error:
            log.warning(str(error), action="rewound", workflow=self.workflow_id)
            await self._host.leases.release(self.workflow_id, self.epoch)
            self.abandon()
        except ServerUnavailable:
            self._reread = self._unsure = True
            self._host.loop.call_later(self._host.retry_s(), self._wake_again)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("workflow could not be advanced", action="bug", workflow=self.workflow_id)
            self._reread = True
            self._host.loop.call_later(1.0, self._wake_again)

    def _wake_again(self) -> None:
        if self.workflow_id in self._host.executions:
            self._wake()

    def _after(self) -> None:
        if self.workflow_id not in self._host.executions:
            return
        if (self._reread or self.seq + 1 in self._buffer) and self._host.healthy:
            self._wake()
        else:
            self._arm()

    async def _turn(self, readd: bool = False) -> None:
        self._idle_ms = self._host.now_ms()
        readd, self._unsure = readd or self._unsure, False
        while True:
            try:
                if await self._pass(readd):
                    return
            except WorkflowCodeChanged as error:
                await self._break(error)
            readd = False

    async def _pass(self, readd: bool) -> bool:
        """Apply, read, write or end, whatever is next. True: nothing is left to do now."""
        while True:
            self._apply()
            if self._reread or (self._buffer and not self._broken):
                await self._read()
            elif self._broken:
                return True
            elif self.machine.done:
                if await finish(self._host, self):
                    return True
            elif readd:
                readd = False
                await self._readd()
            elif not await self._write() and not self._buffer and not self._reread:
                return True

    def _apply(self) -> None:
        buffer = self._buffer
        self._host.executing = self.workflow_id
        while (item := buffer.pop(self.seq + 1, None)) is not None:
            self.seq = item.seq
            if not self._broken:
                self.machine.apply(item)
            elif isinstance(item.entry, j.Decided) and not item.entry.step:
                self._unbreak(item.entry)
        for stale in [seq for seq in buffer if seq <= self.seq]:
            del buffer[stale]

    async def _read(self) -> None:
        self._reread = False
        keys = self._host.connection.keys
        raw = await self._host.connection.call("XRANGE", keys.journal(self.workflow_id), f"{self.seq + 1}-0", "+")
        if not raw and self._buffer:
            raise JournalRewound(f"The journal of {self.workflow_id} lost entries: replaying what is left.")
        for item in j.parse(raw):
            self._buffer[item.seq] = item

    # --- writing ----------------------------------------------------------------------------

    async def _write(self) -> bool:
        """Write what run() newly asks for and what its steps need next. False: nothing to write."""
        machine, now_ms = self.machine, self._host.now_ms()
        batch = Batch(self.workflow_id, now_ms)
        for call in list(machine.new.values()):
            await self._host.writer.add_call(batch, self, call)
        for step, run in list(machine.dirty.items()):
            del machine.dirty[step]
            if run.state == "backoff":
                if run.due_ms <= now_ms:
                    batch.retry(step, run)
                else:
                    self._due(run.due_ms)
            elif run.state == "exhausted":
                await open_task(self._host, self, step, run)
            elif run.state == "queued":
                self._due(run.since_ms + int(run.call.timeout_s * 1000))
        batch.fields += withdrawn_records(machine)
        machine.withdrawn.clear()
        if not batch.entries and not batch.fields:
            return False
        await self._checkpoint(batch)
        return True

    async def _checkpoint(self, batch: Batch) -> None:
        host, machine = self._host, self.machine
        told = (machine.steps_total, machine.steps_done, machine.retrying)
        if told != self._told:
            batch.fields += ["steps_total", told[0], "steps_done", told[1], "retrying", told[2]]
            self._told = told
        keys, workflow_id = host.connection.keys, self.workflow_id
        shard = keys.shard(workflow_id)
        answer = await host.connection.script(
            "checkpoint",
            [keys.workflow(workflow_id), keys.journal(workflow_id), keys.deadlines(shard), keys.events(shard)],
            [self.workflow_id, self.epoch, batch.due_ms, batch.event, host.config.journal_entries,
             len(batch.fields) // 2, *batch.fields, *[j.encode(entry) for entry in batch.entries]],
        )  # fmt: skip
        check(answer[0], self.workflow_id)
        if answer[0] == REFUSED:
            raise WorkflowCodeChanged(
                f"The journal of {self.workflow_id} is full ({host.config.journal_entries:,} entries). "
                "Split the work into child workflows, or raise GANGLION_JOURNAL_ENTRIES."
            )
        first, now_ms = answer
        if first <= self.seq:
            raise JournalRewound(
                f"The journal of {self.workflow_id} lost entries after {first - 1}: replaying what is left."
            )
        for offset, entry in enumerate(batch.entries):
            self.written(first + offset, now_ms, entry)
        await publish(host.connection, batch)

    async def _readd(self) -> None:
        """Queue every unsettled attempt again: the one before may have died before it did."""
        batch = Batch(self.workflow_id, self._host.now_ms())
        for step, run in self.machine.runs.items():
            if run.state == "queued":
                batch.queue(step, run)
        await publish(self._host.connection, batch)

    # --- timers --------------------------------------------------------------------------------

    def _due(self, due_ms: int) -> None:
        if self._handle is not None and self._due_ms <= due_ms:
            return
        self._disarm()
        self._due_ms = due_ms
        delay_s = max(0, due_ms - self._host.now_ms()) / 1000
        self._handle = self._host.loop.call_later(delay_s, self._fired)

    def _disarm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        """Make sure of a wake-up for the earliest thing that only time brings."""
        machine = self.machine
        for due_ms in machine.timers.values():
            self._due(due_ms)
        if "deadline" in self._fields and machine.cancelled is None:
            self._due(int(self._fields["deadline"]))
        if machine.parkable or self._broken:
            self._due(self._idle_ms + int(self._host.config.park_after_s * 1000))

    def _fired(self) -> None:
        self._handle = None
        if self._pump_task is None:
            self._pump_task = self._host.loop.create_task(self._tick(), name=f"tick-{self.workflow_id}")
        else:
            self._due(self._host.now_ms() + 50)

    async def _tick(self) -> None:
        try:
            await self._guard(self._times_up())
        finally:
            self._pump_task = None
        self._after()

    async def _times_up(self) -> None:
        host, machine, now_ms = self._host, self.machine, self._host.now_ms()
        deadline = int(self._fields.get("deadline", b"0"))
        if deadline and deadline <= now_ms and machine.cancelled is None:
            await host.writer.cancel(self.workflow_id, DEADLINE, "Its deadline has passed.")
            self._reread = True
        batch = Batch(self.workflow_id, now_ms)
        for step, due_ms in list(machine.timers.items()):
            if due_ms <= now_ms:
                del machine.timers[step]
                batch.entries.append(j.TimerFired(step))
                batch.event = "progressed"
        if batch.entries:
            await self._checkpoint(batch)
        for step, run in list(machine.runs.items()):
            if run.state == "backoff":
                machine.dirty[step] = run
            elif run.state == "queued":
                await self._look_at(step, run)
        if self._reread or self._buffer or machine.dirty:
            await self._turn()
        elif self._can_park(now_ms):
            await self._park()

    async def _look_at(self, step: str, run: Any) -> None:
        due_ms = await self._host.writer.expire(self, step, run)
        if due_ms:
            self._due(due_ms)

    def _can_park(self, now_ms: int) -> bool:
        idle = now_ms - self._idle_ms >= int(self._host.config.park_after_s * 1000) - 50
        soon = now_ms + int(self._host.config.park_after_s * 1000)
        return idle and (self.machine.parkable or self._broken) and all(d > soon for d in self.machine.timers.values())

    async def _park(self) -> None:
        due_ms = min([*self.machine.timers.values(), self._host.now_ms() + _DAY_MS])
        if "deadline" in self._fields and self.machine.cancelled is None:
            due_ms = min(due_ms, int(self._fields["deadline"]))
        if await self._host.leases.park(self.workflow_id, self.epoch, self.seq, due_ms):
            self.abandon()
        else:
            self._reread = True

    # --- a program that does not fit its journal, or ends its host ---------------------------------

    async def crashed(self) -> None:
        """Ask people instead of running a workflow that has ended the hosts which ran it."""
        self._pump_task = asyncio.current_task()
        await self._guard(self._break(crash_error(self.workflow_id)))
        self._pump_task = None
        self._after()

    async def _break(self, error: ProgramError) -> None:
        """Ask people about the program, once for each answer they gave before."""
        self.machine.close()
        self._buffer.clear()
        keys = self._host.connection.keys
        entries = j.parse(await self._host.connection.call("XRANGE", keys.journal(self.workflow_id), "-", "+"))
        asked = j.about_program(entries)
        self.seq = entries[-1].seq if entries else 0
        if asked and isinstance(asked[-1], j.Decided) and asked[-1].action == "fail":
            self._give_up(asked[-1])
            return
        self._broken = True
        if asked and isinstance(asked[-1], j.Escalated):
            return
        log.warning("workflow cannot be replayed", action="broken", workflow=self.workflow_id, why=str(error))
        await open_program(self._host, self, sum(isinstance(entry, j.Escalated) for entry in asked) + 1, error)

    def _unbreak(self, entry: j.Decided) -> None:
        """A person decided about the program: replay it anew, or end it."""
        self._broken = False
        if entry.action == "fail":
            self._give_up(entry)
            return
        self.machine = self._host.machine_for(self.workflow_id, self._fields)
        self._start_machine()
        self.seq = 0
        self._buffer.clear()
        self._reread = True

    def _give_up(self, entry: j.Decided) -> None:
        self.machine.end(StepFailed(f"{entry.actor} ended the workflow as failed."))

    # --- for the modules beside this one --------------------------------------------------------

    def written(self, seq: int, at_ms: int, entry: j.AnyEntry) -> None:
        """Take in an entry that was just written for this workflow."""
        self._host.note_time(at_ms)
        self._buffer[seq] = j.Numbered(seq, at_ms, entry)

    def reread(self) -> None:
        """Read the journal before going on."""
        self._reread = True
