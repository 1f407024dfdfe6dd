"""One workflow on a host: applies what its journal brings, and writes what run() asks for.

Everything is written before it is acted on. Writes carry the epoch; the first refusal ends the
execution here, because another host has it then.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import ResponseError

from coordination import journal as j
from coordination.ending import DEADLINE, finish, tidy, withdrawn_records
from coordination.errors import (
    CodeMissing,
    JournalRewound,
    LostOwnership,
    ProgramError,
    ServerUnavailable,
    WorkflowCodeChanged,
    WorkflowTerminated,
)
from coordination.escalations import open_task, reopen_question
from coordination.leases import Lease
from coordination.machine import Machine
from coordination.mending import Mending
from coordination.restarting import carry_out
from coordination.rewind import read_after, torn
from coordination.task_run import terminated
from coordination.writing import Batch, checkpoint, first_look_ms, readd_all

if TYPE_CHECKING:
    from coordination.host import Host

log = structlog.get_logger(__name__)

Turn = Callable[[], Coroutine[Any, Any, None]]

_DAY_MS = 86_400_000


class Execution(Mending):
    """Runs one workflow under one epoch until it ends, is parked, handed over or lost."""

    __slots__ = (
        "_at_ms", "_begun", "_claimed", "_due_ms", "_gone", "_handle", "_held_back", "_idle_ms", "_pump_task",
        "_unsure", "checkpoints", "entry", "epoch", "told", "type_name",
    )  # fmt: skip

    def __init__(self, host: Host, lease: Lease, machine: Machine) -> None:
        self._host = host
        self.workflow_id = lease.workflow_id
        self.type_name = lease.fields["type"].decode()
        self.entry = lease.fields["entry"].decode()  # "w" or "r" for the host's stream, and the id there
        self.epoch = lease.epoch
        self.machine = machine
        machine.set_back = j.set_back(lease.entries)
        self.seq, self._at_ms = 0, 0
        self._fields = lease.fields
        self._buffer: dict[int, j.Numbered] = {item.seq: item for item in lease.entries}
        self._reread = False
        self.checkpoints = int(lease.fields.get("checkpoints", b"0"))  # written so far, as this host knows
        self.told = (0, 0, 0)  # steps in all, done, in backoff, as the server has them
        self._broken = False
        self._unsure = False  # whether a write may have been lost on its way
        self._claimed = lease.claimed()  # attempts whose queue entries are known to exist
        self._held_back = False  # whether the next turn waits, because the one before failed
        self._begun = False  # until then what is delivered waits in the buffer
        self._gone = j.gone(lease.entries)  # entries that count no more, because their step began anew
        self._pump_task: asyncio.Task[None] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._due_ms = 0
        self._idle_ms = host.now_ms()

    # --- from outside ---------------------------------------------------------------

    def deliver(self, item: j.Numbered | None, queue_again: bool = False) -> None:
        """Take in a journal entry, or None: the journal may have grown, or queues were lost; read it."""
        if queue_again:
            self._doubt()
        if item is None:
            self._reread = True
        elif item.seq > self.seq:
            self._buffer[item.seq] = item
        self._wake()

    def _doubt(self) -> None:
        """Take every queue entry for lost."""
        self._unsure = True
        self._claimed = set()

    def clock_set(self, moved_ms: int) -> None:
        """Go on waiting by a server's clock that was set."""
        self.machine.clock_set(moved_ms)
        self._idle_ms += moved_ms
        self._disarm()
        self.deliver(None)

    def _wake(self) -> None:
        if self._pump_task is None and self._begun:
            self._pump_task = self._host.loop.create_task(self._pump(self._turn), name=f"pump-{self.workflow_id}")

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
        self._host.at_work.rests(self.workflow_id)
        if self._pump_task is not None and self._pump_task is not asyncio.current_task():
            self._pump_task.cancel()
        self.machine.close()

    # --- the loop ----------------------------------------------------------------------

    def start(self) -> asyncio.Task[None]:
        """Replay the journal, then go on; tasks that may have been lost are queued again. Gives the first turn."""
        replayed = bool(self._buffer)
        asked = j.about_program(self._buffer.values())
        if asked and (isinstance(asked[-1], j.Escalated) or asked[-1].action == "fail"):
            return self.ask(WorkflowCodeChanged("People have not answered yet, or ended it."))
        self._start_machine()
        return self._begin(functools.partial(self._turn, readd=replayed))

    def end_at_once(self, entry: j.Terminated) -> asyncio.Task[None]:
        """End a workflow without running any of it: what is open is withdrawn, children are cancelled."""
        counting = [item for item in self._buffer.values() if item.seq not in self._gone]
        last = max(self._buffer.values(), key=lambda item: item.seq)
        self.seq, self._at_ms = last.seq, last.at_ms
        self._buffer.clear()
        self.machine.open = j.open_escalations(counting)
        self.machine.orphans += j.open_children(counting)
        self.machine.steps_total = int(self._fields.get("steps_total", b"0"))
        self.machine.steps_done = int(self._fields.get("steps_done", b"0"))
        self.machine.end(terminated(entry))
        return self._begin(self._turn)

    def unsettled(self) -> list[Any]:
        """Fields that tell agents to stop what a workflow that is ended at once leaves under way."""
        if not isinstance(self.machine.outcome[1], WorkflowTerminated):
            return []
        records = ((name, value.decode().split(":", 6)) for name, value in self._fields.items() if name[:2] == "t:")
        return [part for name, record in records for part in (name, f"{record[0]}:{record[1]}:x:0:0:0:")]

    def ask(self, error: ProgramError) -> asyncio.Task[None]:
        """Ask people instead of running a workflow that cannot be run."""
        return self._begin(functools.partial(self._broken_turn, error))

    async def _broken_turn(self, error: ProgramError) -> None:
        await self._break(error)
        await self._turn()

    def _begin(self, turn: Turn) -> asyncio.Task[None]:
        """Run the first turn in a task of its own, which may be ended without its caller."""
        self._begun = True
        self._pump_task = self._host.loop.create_task(self._pump(turn), name=f"start-{self.workflow_id}")
        return self._pump_task

    def _start_machine(self) -> None:
        self._host.executing = self.workflow_id
        self.machine.start(int(self._fields.get("began") or self._fields.get("created", b"0")))

    async def _pump(self, turn: Turn) -> None:
        self._held_back = False
        try:
            await turn()
        except LostOwnership as error:
            log.debug("workflow left", action="lost", workflow=self.workflow_id, why=str(error))
            self.abandon()
        except (JournalRewound, CodeMissing) as error:
            log.warning(str(error), action="handed_over", workflow=self.workflow_id)
            await self._let_go()
        except (ServerUnavailable, ResponseError) as error:
            log.debug(str(error), action="held_back", workflow=self.workflow_id)
            self._hold_back(self._host.retry_s())
        except Exception:
            log.exception("workflow could not be advanced", action="bug", workflow=self.workflow_id)
            self._hold_back(1.0)
        finally:
            self._pump_task = None
        self._after()

    async def _let_go(self) -> None:
        try:
            await self._host.leases.release(self.workflow_id, self.epoch)
        except (ServerUnavailable, ResponseError, LostOwnership) as error:  # its entry stays pending: the host finds it
            log.debug(str(error), action="not_handed_over", workflow=self.workflow_id)
        self.abandon()

    def _hold_back(self, delay_s: float) -> None:
        """Try the turn again later; what it may not have written is due again."""
        self._reread = self._held_back = True
        self._doubt()
        self.machine.recall()
        self._host.loop.call_later(delay_s, self._wake_again)

    def _wake_again(self) -> None:
        if self._host.executions.get(self.workflow_id) is self:
            self._wake()

    def _after(self) -> None:
        if self._host.executions.get(self.workflow_id) is not self or self._held_back:
            return
        if (self._reread or self.seq + 1 in self._buffer) and self._host.healthy:
            self._wake()
        else:
            self._arm()

    async def _turn(self, readd: bool = False) -> None:
        self._idle_ms = self._host.now_ms()
        self._host.at_work.moved(self.workflow_id)
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
            elif self.machine.restart is not None:
                await carry_out(self._host.connection, self.workflow_id, self.machine.restart)
                self._reread = True
            elif self.machine.paused:
                await tidy(self._host, self)
                return True
            elif readd or self._unsure:
                readd = self._unsure = False
                await readd_all(self._host, self, self._claimed)
            elif not await self._write() and not self._buffer and not self._reread:
                return True

    def _apply(self) -> None:
        buffer = self._buffer
        self._host.executing, self.machine.now_ms = self.workflow_id, self._host.now_ms()
        while (item := buffer.pop(self.seq + 1, None)) is not None:
            self.seq, self._at_ms = item.seq, item.at_ms
            if self._broken:
                self._apply_broken(item.entry)
            elif item.seq not in self._gone:
                self.machine.apply(item)
                if isinstance(item.entry, j.Resumed):
                    self._doubt()
        for stale in [seq for seq in buffer if seq <= self.seq] if buffer else ():
            del buffer[stale]

    async def _read(self) -> None:
        self._reread = False
        found = await read_after(self._host.connection, self.workflow_id, self.epoch, self.seq, self._at_ms)
        if not found and self._buffer:
            raise JournalRewound(f"The journal of {self.workflow_id} lost entries: replaying what is left.")
        for item in found:
            self._buffer[item.seq] = item
        if found and self.seq + 1 not in self._buffer and not self._broken:
            raise torn(self.workflow_id, min(self._buffer) - self.seq - 1)

    # --- writing ----------------------------------------------------------------------------

    async def _write(self) -> bool:
        """Write what run() newly asks for and what its steps need next. False: nothing to write."""
        machine, now_ms = self.machine, self._host.now_ms()
        batch = Batch(self._host.connection.keys, self.workflow_id, now_ms)
        for call in list(machine.new.values()):
            if batch.full:
                batch.later += 1
            else:
                await self._host.writer.add_call(batch, self, call)
        for step, run in list(machine.dirty.items()):
            if batch.full or self._reread:
                break
            del machine.dirty[step]
            if run.state == "backoff":
                if run.due_ms <= now_ms:
                    await self._host.writer.retry(batch, self, step, run)
                else:
                    self._due(run.due_ms)
            elif run.state == "exhausted":
                await open_task(self._host, self, step, run)
            elif run.state == "queued":
                self._due(min(run.since_ms, now_ms) + first_look_ms(run, self._host.config))
        for step, why in list(machine.reask.items()):
            await reopen_question(self._host, self, step, why)
        await tidy(self._host, self)
        batch.fields += withdrawn_records(machine)
        if machine.retrying != self.told[2] and not batch.event:
            batch.event = "progressed"  # a step went into backoff, which only this field tells
        if batch.entries or batch.fields or batch.event:
            if await checkpoint(self._host, self, batch):
                machine.withdrawn.clear()
            return True
        return False

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
        if self.machine.parkable or self._broken:
            self._host.at_work.rests(self.workflow_id)
        for due_ms in (*self._timers().values(), self._deadline_ms(), self._park_ms()):
            if due_ms:
                self._due(due_ms)

    def _timers(self) -> dict[str, int]:
        """Armed timers; a program that is paused, or cannot be run, waits for people, not for time."""
        return {} if self._broken or self.machine.paused else self.machine.timers

    def _deadline_ms(self) -> int:
        """When the whole workflow must have ended, 0 when it need not, or is being cancelled."""
        is_cancelled = self.machine.cancelled is not None or "cancelled" in self._fields
        return 0 if is_cancelled else int(self._fields.get("deadline", b"0"))

    def _park_ms(self) -> int:
        """When the workflow may leave memory, 0 when it moves on by itself or a timer comes soon."""
        patience_ms = int(self._host.config.park_after_s * 1000)
        at_ms = self._idle_ms + patience_ms
        if not (self.machine.parkable or self._broken):
            return 0
        return at_ms if all(due_ms > at_ms + patience_ms for due_ms in self._timers().values()) else 0

    def _fired(self) -> None:
        self._handle = None
        if self._pump_task is None:
            self._pump_task = self._host.loop.create_task(self._pump(self._times_up), name=f"tick-{self.workflow_id}")
        else:
            self._due(self._host.now_ms() + 50)

    async def _times_up(self) -> None:
        host, machine, now_ms = self._host, self.machine, self._host.now_ms()
        if 0 < self._deadline_ms() <= now_ms:
            await host.writer.cancel(self.workflow_id, DEADLINE, "Its deadline has passed.")
            self._reread = True
        batch = Batch(self._host.connection.keys, self.workflow_id, now_ms)
        fired = {item.entry.step for item in self._buffer.values() if isinstance(item.entry, j.TimerFired)}
        due = [step for step, due_ms in self._timers().items() if due_ms <= now_ms and step not in fired]
        batch.entries += [j.TimerFired(step) for step in due]
        batch.event = "progressed" if batch.entries else ""
        if batch.entries and not await self._written_down(batch):
            await self._turn()
            return
        for step, run in [] if machine.paused else list(machine.unsettled.items()):
            if run.state == "backoff":
                machine.dirty[step] = run
            elif run.state == "queued" and (due_ms := await host.writer.expire(self, step, run)):
                self._due(due_ms)
        if self._reread or self._buffer or (machine.dirty and not machine.paused):
            await self._turn()
        elif 0 < self._park_ms() <= now_ms + 50:
            await self._park()

    async def _park(self) -> None:
        dues = [*self._timers().values(), self._deadline_ms() or self._host.now_ms() + _DAY_MS]
        if await self._host.leases.park(self.workflow_id, self.epoch, self.seq, min(dues)):
            self.abandon()
        else:
            self._reread = True

    def written(self, seq: int, at_ms: int, entry: j.AnyEntry) -> None:
        """Take in an entry that was just written for this workflow."""
        self._host.note_time(at_ms)
        self._buffer[seq] = j.Numbered(seq, at_ms, entry)

    def reread(self) -> None:
        """Read the journal before going on."""
        self._reread = True
