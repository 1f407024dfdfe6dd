"""What this instance holds right now: its slots, its running tasks, the entries it has been given."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from operator import itemgetter
from typing import Any

from agents.handlers import Handler
from agents.task import Task
from coordination.domain import TypeWork
from coordination.registry import Ramp, Status
from coordination.tasks import Delivery

_SHOWN_AFTER_S = 1.0
_SHOWN = 50
_RECENT = 256  # tasks that latency and errors are told of
_KINDS = 5

TaskKey = tuple[str, str, int, int]


def task_key(delivery: Delivery) -> TaskKey:
    """What makes two deliveries the same attempt."""
    return delivery.workflow_id, delivery.step, delivery.generation, delivery.number


class Running:
    """One task in a slot, from before its claim until after its report."""

    __slots__ = ("claimed_ms", "delivery", "ended", "handler", "instance", "job", "started_at", "task")

    def __init__(self, delivery: Delivery, handler: Handler) -> None:
        self.delivery = delivery
        self.handler = handler
        self.task: Task | None = None  # set when claimed
        self.job: asyncio.Task[None] | None = None
        self.instance = ""  # the incarnation that claimed it
        self.claimed_ms = 0
        self.started_at = time.monotonic()
        self.ended = ""  # why the handler was told to stop: timeout, lost, cancelled, stopping

    def stop(self, why: str) -> None:
        """Cancel the handler, once."""
        if self.ended or self.task is None or self.job is None:
            return
        self.ended = why
        self.task.cancelled = True
        self.job.cancel()


class Ledger:
    """The slots of one instance and what is in them.

    Args:
        concurrency: Number of slots.
        processes: How many of them CPU-bound handlers may use.
    """

    def __init__(self, concurrency: int, processes: int) -> None:
        self.instance = ""
        self.concurrency = concurrency
        self.processes = processes
        self.running: dict[TaskKey, Running] = {}
        self.known: set[tuple[str, bytes]] = set()  # entries delivered here and not yet acknowledged
        self.abandoned = 0  # slots held by threads that cannot be stopped
        self.in_processes = 0
        self.freed = asyncio.Event()
        self.missed = asyncio.Event()  # set when entries may be pending here that nobody works on
        self.done = 0
        self.failed = 0
        self.queued = 0
        self.clock_offset_ms = 0.0  # server's clock minus this process's monotonic clock
        self.last_work_ms = 0
        self.moved_at = 0.0
        self.ramps: dict[str, Ramp] = {}  # task types whose slots come back by and by
        self._durations: deque[tuple[str, float]] = deque(maxlen=_RECENT)  # type and seconds of those that ended last
        self._errors: deque[str] = deque(maxlen=_RECENT)  # kinds of their failures, "" for a success

    def free(self) -> int:
        """Slots that a new task could take."""
        return self.concurrency - len(self.running) - self.abandoned

    def free_for(self, handler: Handler) -> int:
        """Slots that a new task for this handler could take."""
        free = self.free()
        if handler.kind == "process":
            free = min(free, self.processes - self.in_processes)
        if (ramp := self.ramps.get(handler.name)) is not None:
            busy = sum(running.handler.name == handler.name for running in self.running.values())
            free = min(free, ramp.slots(self.concurrency, self.server_ms(time.monotonic())) - busy)
        return free

    def begin(self, running: Running) -> None:
        """Put a task into a slot."""
        self.running[task_key(running.delivery)] = running
        self.in_processes += running.handler.kind == "process"
        self.moved_at = time.monotonic()

    def end(self, running: Running) -> None:
        """Free a task's slot."""
        if self.running.pop(task_key(running.delivery), None) is not None:
            self.in_processes -= running.handler.kind == "process"
        self.freed.set()

    def finished(self, running: Running, error: str = "") -> None:
        """Count a task whose outcome is known, with the kind of its failure."""
        self.done += not error
        self.failed += bool(error)
        self.moved_at = time.monotonic()
        self._durations.append((running.handler.name, self.moved_at - running.started_at))
        self._errors.append(error)
        self.last_work_ms = self.server_ms(self.moved_at)

    def abandon(self, delta: int) -> None:
        """Count a slot as held by a thread that runs on although its task has ended, or give it back."""
        self.abandoned += delta
        self.freed.set()

    def server_ms(self, monotonic: float) -> int:
        """A moment of this process's clock as the server's ms, known since the first heartbeat."""
        return int(monotonic * 1000 + self.clock_offset_ms) if self.clock_offset_ms else 0

    def status(self) -> Status:
        """What the next heartbeat says."""
        now = time.monotonic()
        long = [entry for entry in self.running.values() if entry.task and now - entry.started_at > _SHOWN_AFTER_S]
        moved = max([self.moved_at, *(entry.task.moved_at for entry in long if entry.task)])
        spent = sorted(seconds for _, seconds in self._durations)
        return Status(
            load=len(self.running) + self.abandoned,
            queued=self.queued,
            running=[self._shown(entry) for entry in long[:_SHOWN]],
            last_work_ms=self.last_work_ms,
            moved_ms=self.server_ms(moved) if moved else 0,
            done=self.done,
            failed=self.failed,
            p50_ms=_percentile_ms(spent, 0.5),
            p95_ms=_percentile_ms(spent, 0.95),
            recent=len(self._errors),
            errors=dict(Counter(kind for kind in self._errors if kind).most_common(_KINDS)),
            work=self._work(),
        )

    def _work(self) -> dict[str, TypeWork]:
        loads = Counter(entry.handler.name for entry in self.running.values())
        spent: dict[str, list[float]] = {name: [] for name in loads}
        for name, seconds in sorted(self._durations, key=itemgetter(1)):
            spent.setdefault(name, []).append(seconds)
        return {
            name: TypeWork(loads[name], _percentile_ms(ordered, 0.5), _percentile_ms(ordered, 0.95))
            for name, ordered in spent.items()
        }

    def _shown(self, entry: Running) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "workflow": entry.delivery.workflow_id,
            "step": entry.delivery.step,
            "type": entry.delivery.task_type,
            "since_ms": entry.claimed_ms,
            "limit_ms": int(entry.delivery.timeout_s * 1000),
        }
        if entry.task is not None and entry.task.share is not None:
            shown["progress"] = entry.task.share
        return shown


def _percentile_ms(ordered: list[float], share: float) -> int:
    return math.ceil(ordered[int(share * (len(ordered) - 1))] * 1000) if ordered else 0
