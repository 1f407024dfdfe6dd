"""A program that does not fit its journal, or ends its host: people decide, and it is replayed anew or ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import structlog

from coordination import journal as j
from coordination.errors import ProgramError, StepFailed, WorkflowCodeChanged
from coordination.escalations import open_program
from coordination.rewind import last_seq
from coordination.writing import Batch, checkpoint

if TYPE_CHECKING:
    from coordination.execution import Execution
    from coordination.host import Host
    from coordination.machine import Machine

log = structlog.get_logger(__name__)


class Mending:
    """The part of an execution that deals with a program which cannot be run."""

    __slots__ = ("_broken", "_buffer", "_fields", "_host", "_reread", "machine", "seq", "workflow_id")

    machine: Machine
    workflow_id: str
    seq: int
    _host: Host
    _fields: dict[str, bytes]
    _buffer: dict[int, j.Numbered]
    _broken: bool
    _reread: bool

    def _start_machine(self) -> None:
        raise NotImplementedError

    async def _written_down(self, batch: Batch) -> bool:
        """Write a batch; False: the journal is full, and people are asked."""
        try:
            await checkpoint(self._host, cast("Execution", self), batch)
        except WorkflowCodeChanged as error:
            await self._break(error)
            return False
        return True

    async def _break(self, error: ProgramError) -> None:
        """Ask people about the program, once for each answer they gave before."""
        self.machine.close()
        self._buffer.clear()
        keys = self._host.connection.keys
        entries = j.parse(await self._host.connection.call("XRANGE", keys.journal(self.workflow_id), "-", "+"))
        asked = j.about_program(entries)
        self.seq = await last_seq(self._host.connection, self.workflow_id, entries)
        self.machine.open = j.open_escalations(entries)
        if cancelled := j.cancelled_since_asked(entries):
            self.machine.cancel_outright(cancelled)
            return
        if asked and isinstance(asked[-1], j.Decided) and asked[-1].action == "fail":
            self._give_up(asked[-1])
            return
        if restart := j.restart_decided(entries):
            self.machine.restart = restart
            return
        self._broken = True
        if asked and isinstance(asked[-1], j.Escalated):
            return
        log.warning("workflow cannot be replayed", action="broken", workflow=self.workflow_id, why=str(error))
        number = sum(isinstance(item.entry, j.Escalated) and not item.entry.step for item in entries) + 1
        await open_program(self._host, cast("Execution", self), number, error)

    def _apply_broken(self, entry: j.AnyEntry) -> None:
        """Only people move a program on that cannot be run."""
        if isinstance(entry, j.Escalated):
            self.machine.open[entry.escalation_id] = entry.step
        elif isinstance(entry, j.Decided):
            self.machine.open.pop(entry.escalation_id, None)
            if not entry.step:
                self._unbreak(entry)
        elif isinstance(entry, j.CancelRequested):
            self._broken = False
            self.machine.cancel_outright(entry)

    def _unbreak(self, entry: j.Decided) -> None:
        """A person decided about the program: replay it anew, or end it."""
        self._broken = False
        if entry.action == "fail":
            self._give_up(entry)
            return
        if entry.action == "restart":
            self.machine.restart = entry
            return
        self.machine = self._host.machine_for(self.workflow_id, self._fields)
        self._start_machine()
        self.seq = 0
        self._buffer.clear()
        self._reread = True

    def _give_up(self, entry: j.Decided) -> None:
        self.machine.end(StepFailed(f"{entry.actor} ended the workflow as failed."))
