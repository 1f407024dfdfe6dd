"""What a turn writes: journal entries with their task records first, queue entries after."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from coordination import journal as j
from coordination import tasks
from coordination.calls import (
    Call,
    ChildCall,
    HumanCall,
    ProgressCall,
    RecordCall,
    SignalCall,
    SleepCall,
    TaskCall,
)
from coordination.config import Config
from coordination.connection import Connection
from coordination.domain import ErrorInfo
from coordination.errors import InvalidPayload, UnknownWorkflowType, WorkflowCodeChanged
from coordination.escalations import open_no_agent, open_question
from coordination.keys import Keys, child_id
from coordination.leases import accept, check
from coordination.scripts import DUPLICATE, REFUSED, UNREAD
from coordination.submission import Submission, submit
from coordination.task_run import TaskRun, describe

if TYPE_CHECKING:
    from coordination.execution import Execution
    from coordination.host import Host

_LATE_MS = 5_000  # after its journal entry, a task is in its queue
_LEAST_LOOK_S, _MOST_LOOK_S = 1.0, 10.0  # between two looks at a task that waits in its queue
MOST_ENTRIES, MOST_BYTES = 1_000, 4_194_304  # of one batch, which holds up the server as long as it is written


class Batch:
    """Entries of one turn, to be written by one script; a turn that asks for more takes several.

    Attributes:
        entries: Journal entries, in order.
        fields: Field, value … for the workflow's hash.
        queued: Queue entries to add once the journal has the attempts: (queue, fields).
        due_ms: The earliest new timer, 0 for none.
        event: Kind of the event to tell, "" for none.
        later: How many calls of the turn are left to later batches.
    """

    __slots__ = ("_bytes", "_keys", "due_ms", "entries", "event", "fields", "later", "now_ms", "queued", "workflow_id")

    def __init__(self, keys: Keys, workflow_id: str, now_ms: int) -> None:
        self._keys = keys
        self.workflow_id = workflow_id
        self.now_ms = now_ms
        self.entries: list[j.AnyEntry] = []
        self.fields: list[Any] = []
        self.queued: list[tuple[str, list[Any]]] = []
        self.due_ms = 0
        self.event = ""
        self.later = 0
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether what else is to be written belongs into another batch."""
        return len(self.entries) >= MOST_ENTRIES or self._bytes >= MOST_BYTES

    def weigh(self, payload: bytes, times: int = 1) -> None:
        """Count a payload that the batch carries so many times."""
        self._bytes += times * len(payload)

    def task(self, step: str, generation: int, call: TaskCall, target: str) -> None:
        """The first attempt at a task."""
        self.entries.append(
            j.Attempt(step, generation, 1, 0, call.task_type, call.digest, call.payload, call.priority, target,
                      call.requires, call.undoes)
        )  # fmt: skip
        self.fields += [f"t:{step}", f"{generation}:1:q:0:0:0:"]
        self._queue(step, generation, 1, call, call.payload, call.requires, target)

    def retry(self, step: str, run: TaskRun, target: str = "") -> None:
        """The next attempt at a task."""
        number, call = run.number + 1, run.call
        payload = None if run.payload is call.payload else run.payload
        self.entries.append(
            j.Attempt(step, run.generation, number, run.round, call.task_type, call.digest, payload, call.priority,
                      target, run.requires, call.undoes)
        )  # fmt: skip
        self.fields += [f"t:{step}", f"{run.generation}:{number}:q:0:0:0:"]
        self._queue(step, run.generation, number, call, run.payload, run.requires, target)
        self.event = "progressed"

    def queue(self, step: str, run: TaskRun, target: str = "") -> None:
        """The present attempt once more, under the same task id."""
        self._queue(step, run.generation, run.number, run.call, run.payload, run.requires, target)

    def _queue(
        self,
        step: str,
        generation: int,
        number: int,
        call: TaskCall,
        payload: bytes,
        requires: dict[str, str] | None,
        target: str,
    ) -> None:
        self.weigh(payload, 2)  # in the journal, and in the queue
        entry = tasks.fields(
            self._keys, self.workflow_id, step, generation, number, call.task_type, payload, call.timeout_s, requires
        )
        instance, shared = self._keys.instance_queue, self._keys.agent_queue
        queue = instance(call.task_type, target) if target else shared(call.task_type, call.priority)
        self.queued.append((queue, entry))

    def queue_arguments(self) -> Iterator[Any]:
        """The queue entries as the arguments of a script that adds them itself."""
        for queue, entry in self.queued:
            yield queue
            yield len(entry)
            yield from entry

    def due(self, due_ms: int) -> None:
        """Note a timer."""
        self.due_ms = min(self.due_ms or due_ms, due_ms)


async def publish(connection: Connection, batch: Batch, after: int = 0) -> None:
    """Add the batch's tasks, those after so many of them, to their queues; repeating this is harmless."""
    await asyncio.gather(*[connection.call("XADD", queue, "*", *entry) for queue, entry in batch.queued[after:]])


async def checkpoint(host: Host, execution: Execution, batch: Batch) -> bool:
    """Write a batch under the execution's epoch, then queue its tasks. False: the journal has to be read first.

    Raises:
        LostOwnership: Another host writes this workflow now.
        WorkflowCodeChanged: The journal is full.
    """
    machine, keys, workflow_id = execution.machine, host.connection.keys, execution.workflow_id
    told = (machine.steps_total, machine.steps_done, machine.retrying)
    fields = list(batch.fields)
    if told != execution.told:
        fields += ["steps_total", told[0], "steps_done", told[1], "retrying", told[2]]
    shard, queued_with = keys.shard(workflow_id), batch.queue_arguments() if host.connection.one_server else ()
    answer = await host.connection.script(
        "checkpoint",
        [keys.workflow(workflow_id), keys.journal(workflow_id), keys.deadlines(shard), keys.events(shard),
         keys.seen(shard)],
        [workflow_id, execution.epoch, batch.due_ms, batch.event, host.config.journal_entries - batch.later,
         execution.checkpoints, execution.seq, len(fields) // 2, len(batch.entries), *fields,
         *[j.encode(entry) for entry in batch.entries], *queued_with],
    )  # fmt: skip
    check(answer[0], workflow_id)
    if answer[0] == UNREAD:
        execution.checkpoints = answer[1]
        machine.recall()
        execution.reread()
        return False
    if answer[0] == REFUSED:
        raise WorkflowCodeChanged(
            f"The journal of {workflow_id} is full ({host.config.journal_entries:,} entries). "
            "Split the work into child workflows, or raise GANGLION_JOURNAL_ENTRIES."
        )
    first, now_ms, queued = answer
    execution.told = told
    execution.checkpoints += 1
    for offset, entry in enumerate(batch.entries):
        execution.written(first + offset, now_ms, entry)
    if queued < len(batch.queued):
        await publish(host.connection, batch, queued)
    return True


async def readd_all(host: Host, execution: Execution, claimed: set[str]) -> None:
    """Queue every unsettled attempt again: whoever wrote it may have died before it was queued.

    Args:
        host: The host.
        execution: The workflow.
        claimed: Attempts that need it not, as ``Lease.claimed`` tells them.
    """
    batch = Batch(host.connection.keys, execution.workflow_id, 0)
    for step, run in execution.machine.unsettled.items():
        if run.state == "queued" and f"{step}:{run.generation}:{run.number}" not in claimed:
            batch.queue(step, run, host.registry.named(run.target, run.call.task_type) if run.target else "")
    await publish(host.connection, batch)


def first_look_ms(run: TaskRun, config: Config) -> int:
    """How long after queueing an attempt is looked at: it may have run out of time, or nobody may take it."""
    limits = [run.call.timeout_s, config.no_agent_s]
    if run.call.queue_timeout_s is not None:
        limits.append(run.call.queue_timeout_s)
    return int(min(limits) * 1000)


class Writer:
    """Turns calls of run() into entries, for one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.types: set[str] = set()  # task types queued so far; operators' lists know of them

    async def add_call(self, batch: Batch, execution: Execution, call: Call) -> None:
        """Add what a new call writes to the batch; a question to people is written at once instead."""
        match call:
            case TaskCall():
                if call.task_type not in self.types:
                    self.types.add(call.task_type)
                    await self._host.connection.call("SADD", self._host.connection.keys.task_types, call.task_type)
                self._task(batch, call, execution.machine.generation)
            case SleepCall():
                due_ms = batch.now_ms + int(call.seconds * 1000)
                batch.entries.append(j.TimerSet(call.id, due_ms, f"sleep {call.seconds:g} s"))
                batch.due(due_ms)
            case SignalCall():
                due_ms = batch.now_ms + int(call.timeout_s * 1000) if call.timeout_s is not None else 0
                batch.entries.append(j.SignalAwaited(call.id, call.name, due_ms))
                if due_ms:
                    batch.due(due_ms)
                batch.event = "progressed"
            case ProgressCall():
                batch.entries.append(j.Progressed(call.id, call.note))
                batch.fields += ["progress", call.note]
                batch.event = "progressed"
            case RecordCall():
                recorded = await self._record(call)
                batch.entries.append(recorded)
                batch.weigh(recorded.value)
            case ChildCall():
                batch.entries.append(await self._child(execution, call))
                batch.weigh(call.payload)
            case HumanCall():
                await open_question(self._host, execution, call)

    def _task(self, batch: Batch, call: TaskCall, generation: int) -> None:
        batch.task(call.id, generation, call, self._addressee(call, call.agent, call.requires))

    def _addressee(self, call: TaskCall, agent: str | None, requires: dict[str, str] | None) -> str:
        """The instance that an attempt is queued for; nobody where the shared queue is meant, or nobody fits now."""
        registry = self._host.registry
        if agent:
            return registry.named(agent, call.task_type)
        if requires or call.strategy:
            return registry.choose(call.task_type, requires, call.strategy or "least_loaded") or ""
        return ""

    async def retry(self, batch: Batch, execution: Execution, step: str, run: TaskRun) -> None:
        """Add the next attempt to the batch; people are asked when the agent they chose has left."""
        target = self._host.registry.named(run.target, run.call.task_type) if run.target else ""
        if run.target and not target:
            why = f"Agent {run.target!r} takes no tasks of type {run.call.task_type!r} now. Choose another, or retry."
            await open_no_agent(self._host, execution, step, run, why)
        else:
            batch.retry(step, run, target)

    async def _record(self, call: RecordCall) -> j.Recorded:
        try:
            value = call.fn()
            if inspect.isawaitable(value):
                value = await value
            return j.Recorded(call.id, call.name, msgspec.json.encode(value))
        except Exception as error:
            return j.Recorded(call.id, call.name, b"null", describe(error))

    async def _child(self, execution: Execution, call: ChildCall) -> j.ChildStarted:
        identity = child_id(execution.workflow_id, call.id, execution.machine.generation)
        parent = f"{execution.workflow_id} {call.id}" if call.wait else ""
        refused = None
        try:
            wanted = Submission(identity, call.child_type, call.payload, parent=parent, child=True)
            await submit(self._host.connection, wanted)
        except (UnknownWorkflowType, InvalidPayload) as error:
            refused = ErrorInfo(type(error).__name__, str(error), False)
        return j.ChildStarted(call.id, identity, call.child_type, call.digest, call.payload, refused)

    async def expire(self, execution: Execution, step: str, run: TaskRun) -> int:
        """See whether an attempt has run out of time; gives when to look again, 0 for not at all."""
        host = self._host
        keys, shard = host.connection.keys, host.connection.keys.shard(execution.workflow_id)
        answer = await host.connection.script(
            "expire_task",
            [keys.workflow(execution.workflow_id), keys.journal(execution.workflow_id), keys.events(shard)],
            [execution.workflow_id, execution.epoch, step, run.generation, run.number],
        )
        check(answer[0], execution.workflow_id)
        now_ms = host.now_ms()
        if answer[0] == 3:
            return now_ms + int(answer[1]) + 1
        if answer[0] == 2:
            return await self._queued(execution, step, run, now_ms)
        if answer[0] == 1 or answer[0] == DUPLICATE:
            execution.reread()
        return 0

    def _unserved_s(self, run: TaskRun, now_ms: int) -> float:
        """How long nobody able has been there; a restart of all processes, or a brief absence, is none of it."""
        served_ms = self._host.registry.unserved_since_ms(run.call.task_type, run.requires)
        return (now_ms - max(run.since_ms, served_ms)) / 1000

    async def _queued(self, execution: Execution, step: str, run: TaskRun, now_ms: int) -> int:
        """An attempt that no agent has claimed: ask people when none is able to, and it may not wait longer."""
        host, call = self._host, run.call
        waited_s = (now_ms - run.since_ms) / 1000
        limit_s = host.config.no_agent_s
        if host.registry.paused(call.task_type):
            run.since_ms = now_ms
        elif call.queue_timeout_s is not None and waited_s >= call.queue_timeout_s:
            await open_no_agent(host, execution, step, run, f"No agent took it within {call.queue_timeout_s:g} s.")
            return 0
        elif host.registry.capable(call.task_type, run.requires):
            queued_ms, run.since_ms = run.since_ms, run.since_ms if call.queue_timeout_s is not None else now_ms
            await self._find_again(execution, step, run, queued_ms)
        elif (unserved_s := self._unserved_s(run, now_ms)) >= limit_s:
            needs = "".join(f" with {name} = {value}" for name, value in (run.requires or {}).items())
            why = (
                f"No live agent takes tasks of type {call.task_type!r}{needs}, for {unserved_s:.0f} s now. "
                "Start one, then retry."
            )
            await open_no_agent(host, execution, step, run, why)
            return 0
        again_ms = int(min(_MOST_LOOK_S, max(_LEAST_LOOK_S, call.timeout_s / 4)) * 1000)
        return now_ms + min(again_ms, max(100, first_look_ms(run, host.config) - (now_ms - run.since_ms)))

    async def _find_again(self, execution: Execution, step: str, run: TaskRun, queued_ms: int) -> None:
        """Queue an attempt again of whose time no queue holds anything: somebody deleted it, or its server lost it."""
        connection, call, agent = self._host.connection, run.call, run.target or run.call.agent
        keys, target = connection.keys, self._addressee(call, agent, run.requires)
        queues = [keys.agent_queue(call.task_type, call.priority)]
        if agent or run.requires or call.strategy:  # it may wait for one instance, and have been sent on to another
            able = [view.id for view in self._host.registry.capable(call.task_type, run.requires)]
            queues += [keys.instance_queue(call.task_type, one) for one in dict.fromkeys([target, *able]) if one]
        for queue in queues:
            oldest = await connection.call("XRANGE", queue, "-", "+", "COUNT", 1)
            if oldest and int(oldest[0][0].partition(b"-")[0]) <= queued_ms + _LATE_MS:
                return
        batch = Batch(keys, execution.workflow_id, 0)
        batch.queue(step, run, target)
        await publish(connection, batch)

    async def cancel(self, workflow_id: str, actor: str, reason: str) -> None:
        """Ask for a workflow's cancellation, once."""
        entry = j.CancelRequested(actor, reason)
        await accept(self._host.connection, workflow_id, "cancelled", entry, "progressed", ends_pause=True)
