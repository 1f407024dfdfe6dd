"""What the journal says of one task step, and how failures are written down."""

from __future__ import annotations

import traceback

import msgspec

from coordination import journal as j
from coordination.calls import TaskCall
from coordination.domain import ErrorInfo, said, storable
from coordination.errors import WorkflowCancelled, WorkflowTerminated

_TEXT = 8_192


class TaskRun:
    """What the journal says of one task step."""

    __slots__ = ("call", "due_ms", "errors", "escalations", "generation", "number", "payload", "reason", "requires",
                 "retries", "round", "since_ms", "state", "target", "used")  # fmt: skip

    def __init__(self, call: TaskCall) -> None:
        self.call = call
        self.payload = call.payload
        self.state = "queued"  # queued | backoff | exhausted | escalated | done
        self.number = 0
        self.round = 0
        self.used = 0  # attempts of this round
        self.generation = 0
        self.due_ms = 0  # next attempt, in backoff
        self.since_ms = 0  # when the present attempt was queued
        self.errors: list[ErrorInfo] = []
        self.reason = ""
        self.escalations = 0
        self.retries = call.max_retries
        self.requires = call.requires
        self.target = ""  # the agent that an operator chose, by its name or its instance's

    def reroute(self, choice: bytes | None) -> None:
        """Take an operator's choice of another agent, or of other capabilities."""
        chosen = msgspec.json.decode(choice or b"{}", type=Reroute)
        self.target = chosen.agent
        self.requires = chosen.requires if chosen.requires is not None else self.call.requires


class Reroute(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an operator wants a task to be tried again: one of the two."""

    agent: str = ""
    requires: dict[str, str] | None = None


def describe(error: BaseException) -> ErrorInfo:
    """A failure of run() as it is stored."""
    text = storable("".join(traceback.format_exception(error)))
    return ErrorInfo(type(error).__name__, said(error)[:2000], retryable=False, traceback=text[-_TEXT:])


def cancelled(entry: j.CancelRequested) -> WorkflowCancelled:
    """What run() sees of a cancellation."""
    return WorkflowCancelled(f"Cancelled by {entry.actor or 'a client'}. {entry.reason}".strip())


def terminated(entry: j.Terminated) -> WorkflowTerminated:
    """How a workflow ends that somebody ended at once."""
    return WorkflowTerminated(f"Terminated by {entry.actor or 'a client'}. {entry.reason}".strip())


def words(entry: j.AnyEntry) -> str:
    """An entry, named for people."""
    name = getattr(entry, "task_type", "") or getattr(entry, "name", "") or getattr(entry, "child_type", "")
    return f"{type(entry).__name__} {name}".strip()
